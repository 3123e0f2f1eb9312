//! Sans-IO carriers of EAP: RADIUS.
