//! Buffers are borrowed only while bytes are in hand, so that an idle connection holds none.
//!
//! Each worker has its own shelf: the buffer last put back, which is still in the cache, is the next to be taken.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// One worker's buffers, all of one size. Clones share the shelf.
#[derive(Clone)]
pub(crate) struct Buffers(Rc<Shelf>);

struct Shelf {
    bytes: usize,
    keep: usize,
    idle: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// Buffers of `bytes` each, of which at most `keep` are held while nobody uses them.
    pub(crate) fn new(bytes: usize, keep: usize) -> Self {
        Self(Rc::new(Shelf { bytes, keep, idle: RefCell::default() }))
    }

    /// A buffer with arbitrary contents; dropping it puts it back.
    pub(crate) fn take(&self) -> Buffer {
        let idle = self.0.idle.borrow_mut().pop();
        let bytes = idle.unwrap_or_else(|| vec![0; self.0.bytes].into_boxed_slice());
        Buffer { bytes, shelf: Rc::clone(&self.0) }
    }
}

pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    shelf: Rc<Shelf>,
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.shelf.idle.borrow_mut();
        if idle.len() < self.shelf.keep {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_put_back_last_is_taken_next() {
        let buffers = Buffers::new(64, 2);
        let (first, second) = (buffers.take(), buffers.take());
        let address = second.as_ptr();
        drop(first);
        drop(second);
        assert_eq!(buffers.take().as_ptr(), address);
    }

    #[test]
    fn no_more_are_kept_than_stated() {
        let buffers = Buffers::new(64, 2);
        drop([buffers.take(), buffers.take(), buffers.take()]);
        assert_eq!(buffers.0.idle.borrow().len(), 2);
        assert_eq!(buffers.take().len(), 64);
    }
}
