#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| limbeck_fuzz::read("masks", bytes));
