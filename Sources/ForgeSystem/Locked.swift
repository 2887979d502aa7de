import Glibc

/// A value behind a lock, for any number of threads.
///
/// The lock is the C library's: thread sanitizer knows it, and so sees which thread waited for which. Of the lock in Swift's
/// `Synchronization` it sees nothing, and takes everything behind it for a race.
///
/// `@unchecked` because only the lock makes it so: `value` is touched by nobody who does not hold `lock`.
package final class Locked<Value: ~Copyable>: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    package init(_ value: consuming sending Value) {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// Calls `body` while no other thread is in here. Not from within itself: that would wait for ever.
    package func withLock<R: ~Copyable, E: Error>(
        _ body: (inout sending Value) throws(E) -> sending R
    ) throws(E) -> sending R {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body(&value.pointee)
    }
}
