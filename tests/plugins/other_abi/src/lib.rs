//! A plugin of a later version of the interface: nothing after the version is
//! where today's explr expects it.

#[repr(C)]
pub struct LaterTable {
    abi_version: u32,
    rest: [u8; 4],
}

static TABLE: LaterTable = LaterTable {
    abi_version: 99,
    rest: *b"????",
};

#[unsafe(no_mangle)]
pub extern "C" fn explr_plugin() -> *const LaterTable {
    &raw const TABLE
}
