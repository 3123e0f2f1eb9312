//! Integration, interop and vector tests live in `tests/`; this library is empty on purpose.
