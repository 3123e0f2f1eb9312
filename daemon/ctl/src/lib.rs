//! softsimctl, the operator's command line on the gateway.
