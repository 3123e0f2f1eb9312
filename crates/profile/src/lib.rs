//! The subscription profile and its sealed package: seal for the operator, open for the key process.
