//! A sans-IO LwM2M client: bootstrap, registration, objects, content formats.
