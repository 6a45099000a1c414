#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| forzium_fuzz::forms::urlencoded(data));
