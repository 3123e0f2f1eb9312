//! Numbers of `linux/netfilter/nf_tables.h` that the crate libc doesn't have, under the kernel's
//! own names.

pub(super) const NFTA_TABLE_NAME: i32 = 1;

pub(super) const NFTA_CHAIN_TABLE: i32 = 1;
pub(super) const NFTA_CHAIN_NAME: i32 = 3;
pub(super) const NFTA_CHAIN_HOOK: i32 = 4;
pub(super) const NFTA_CHAIN_POLICY: i32 = 5;
pub(super) const NFTA_CHAIN_TYPE: i32 = 7;

pub(super) const NFTA_HOOK_HOOKNUM: i32 = 1;
pub(super) const NFTA_HOOK_PRIORITY: i32 = 2;
pub(super) const NFTA_HOOK_DEV: i32 = 3;

pub(super) const NFTA_RULE_TABLE: i32 = 1;
pub(super) const NFTA_RULE_CHAIN: i32 = 2;
pub(super) const NFTA_RULE_EXPRESSIONS: i32 = 4;

pub(super) const NFTA_LIST_ELEM: i32 = 1;
pub(super) const NFTA_EXPR_NAME: i32 = 1;
pub(super) const NFTA_EXPR_DATA: i32 = 2;

pub(super) const NFTA_META_DREG: i32 = 1;
pub(super) const NFTA_META_KEY: i32 = 2;

pub(super) const NFTA_PAYLOAD_DREG: i32 = 1;
pub(super) const NFTA_PAYLOAD_BASE: i32 = 2;
pub(super) const NFTA_PAYLOAD_OFFSET: i32 = 3;
pub(super) const NFTA_PAYLOAD_LEN: i32 = 4;

pub(super) const NFTA_BITWISE_SREG: i32 = 1;
pub(super) const NFTA_BITWISE_DREG: i32 = 2;
pub(super) const NFTA_BITWISE_LEN: i32 = 3;
pub(super) const NFTA_BITWISE_MASK: i32 = 4;
pub(super) const NFTA_BITWISE_XOR: i32 = 5;

pub(super) const NFTA_CMP_SREG: i32 = 1;
pub(super) const NFTA_CMP_OP: i32 = 2;
pub(super) const NFTA_CMP_DATA: i32 = 3;

pub(super) const NFTA_IMMEDIATE_DREG: i32 = 1;
pub(super) const NFTA_IMMEDIATE_DATA: i32 = 2;

pub(super) const NFTA_DATA_VALUE: i32 = 1;
pub(super) const NFTA_DATA_VERDICT: i32 = 2;
pub(super) const NFTA_VERDICT_CODE: i32 = 1;
