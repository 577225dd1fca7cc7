//! Any bytes as one frame: the parsers end with a result, and what is understood is passed on as it came.
#![no_main]

use onlyone::explore::wire::inspect;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The length is made true, so that the rest is looked at; every other input is taken as it is.
    let mut framed = bytes.to_vec();
    if bytes.len() >= 16 && bytes[4] & 1 == 0 {
        framed[..4].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    if let Ok(inspected) = inspect(&framed) {
        assert!(inspected.same_from_a_stream && inspected.rewritten_once, "{inspected:?}");
    }
});
