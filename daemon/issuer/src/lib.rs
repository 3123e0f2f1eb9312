//! softsim-issuer: seals subscription profiles for one device.
