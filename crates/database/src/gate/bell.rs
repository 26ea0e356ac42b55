//! Wakes every connection of one worker at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

#[derive(Default)]
pub(crate) struct Bell(RefCell<Ropes>);

#[derive(Default)]
struct Ropes {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// One who can be woken, until it is dropped.
pub(crate) struct Rope {
    bell: Rc<Bell>,
    index: usize,
}

impl Bell {
    pub(crate) fn rope(self: &Rc<Self>) -> Rope {
        let mut ropes = self.0.borrow_mut();
        let index = ropes.free.pop().unwrap_or_else(|| {
            ropes.wakers.push(None);
            ropes.wakers.len() - 1
        });
        Rope { bell: self.clone(), index }
    }

    pub(crate) fn ring(&self) {
        for waker in self.0.borrow().wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

impl Rope {
    /// To be called in each poll, before what the bell tells of is looked at.
    pub(crate) fn hold(&self, waker: &Waker) {
        if let Some(held) = self.bell.0.borrow_mut().wakers.get_mut(self.index)
            && !held.as_ref().is_some_and(|held| held.will_wake(waker))
        {
            *held = Some(waker.clone());
        }
    }
}

impl Drop for Rope {
    fn drop(&mut self) {
        let mut ropes = self.bell.0.borrow_mut();
        if let Some(held) = ropes.wakers.get_mut(self.index) {
            *held = None;
        }
        ropes.free.push(self.index);
    }
}
