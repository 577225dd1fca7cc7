//! Any bytes as one frame: the parsers end with a result.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Refused or not, it has to end.
    onlyone::explore::wire::inspect(bytes).ok();
});
