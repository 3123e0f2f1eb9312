//! The program itself, confined, over its sockets.
