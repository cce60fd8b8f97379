//! What people write as an image's name: whatever is taken comes back the same in each of its forms.
#![no_main]

use hull_model::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(reference) = Reference::parse(text) else { return };
    for form in [reference.to_string(), reference.familiar()] {
        assert_eq!(Reference::parse(&form).as_ref(), Ok(&reference), "{form:?} of {text:?}");
    }
    assert!(reference.familiar().starts_with(&reference.familiar_name()));
    assert!(!reference.manifest_selector().contains('/'));
});
