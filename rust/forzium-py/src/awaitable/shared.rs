//! State that only the thread attached to the interpreter touches.

/// A value inside a Python object, used only while attached to the interpreter.
///
/// `#[pyclass]` asks for `Send + Sync`. The values kept here (cells, reference-counted state, machines) are neither, and
/// need not be: every method of a Python class runs with the interpreter's lock held, one thread at a time.
#[derive(Default)]
pub struct Shared<T>(pub T);

// SAFETY:
// - A `Shared` only ever stands in a field of a `#[pyclass]`, or in a machine such a class owns.
// - Python calls into such a class, its traversal and its deallocation included, only from the thread that holds the
//   interpreter's lock; the module declares that it needs that lock (`gil_used = true`), so a free-threaded interpreter
//   switches it on when the module is imported.
// - No code of this crate hands a reference to the inside of a `Shared` to another thread: work for worker threads is
//   Python callables and Python objects.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}
