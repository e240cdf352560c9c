//! What an isolate remembers from one request to the next. It may vanish at any moment, and another isolate knows nothing of it: so
//! it saves work, and is never the truth about anything that is stored.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
};

/// One value of each type that somebody remembers; see the module.
#[derive(Default)]
pub struct Isolate(RefCell<Vec<(TypeId, Box<dyn Any>)>>);

impl Isolate {
    /// Lends the value of the type `T`, made anew where nobody has remembered one yet. `used` may not come back here.
    pub fn with<T: Default + 'static, R>(&self, used: impl FnOnce(&mut T) -> R) -> R {
        let mut known = self.0.take();
        let place = known.iter().position(|(id, _)| *id == TypeId::of::<T>());
        let (id, mut value) = match place {
            Some(place) => known.swap_remove(place),
            None => (TypeId::of::<T>(), Box::new(T::default()) as Box<dyn Any>),
        };
        let result = match value.downcast_mut::<T>() {
            Some(value) => used(value),
            None => used(&mut T::default()),
        };
        known.push((id, value));
        self.0.replace(known);
        result
    }

    /// Forgets everything: the isolate was thrown away.
    pub fn forget(&self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use super::Isolate;

    #[test]
    fn each_type_is_remembered_for_itself_until_all_is_forgotten() {
        let isolate = Isolate::default();
        isolate.with(|count: &mut u32| *count += 7);
        isolate.with(|text: &mut String| text.push('a'));
        assert_eq!(
            (isolate.with(|count: &mut u32| *count), isolate.with(|text: &mut String| text.clone())),
            (7, "a".into())
        );
        isolate.forget();
        assert_eq!(isolate.with(|count: &mut u32| *count), 0);
    }
}
