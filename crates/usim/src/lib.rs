//! The USIM application: AUTN check, SQN array and resynchronisation.
