import Glibc

/// Where the time comes from; tests put their own in its place. Never reaches an artifact.
package protocol TimeSource: Sendable {
    /// Nanoseconds since some point in the past; never goes back.
    func monotonic() -> Int64
    /// Seconds since 1970.
    func wall() -> Int64
}

/// The machine's clocks.
package struct SystemTime: TimeSource {
    package init() {}

    package func monotonic() -> Int64 {
        let time = Self.read(CLOCK_MONOTONIC)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    package func wall() -> Int64 { Int64(Self.read(CLOCK_REALTIME).tv_sec) }

    /// Nanoseconds since 1970, to judge the times of files by.
    package static func now() -> Int64 {
        let time = read(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    package static func sleep(milliseconds: UInt32) { usleep(milliseconds * 1000) }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}

/// A clock that stands still.
package struct FixedTime: TimeSource {
    package var nanoseconds: Int64
    package var seconds: Int64

    package init(nanoseconds: Int64 = 0, seconds: Int64 = 0) {
        self.nanoseconds = nanoseconds
        self.seconds = seconds
    }

    package func monotonic() -> Int64 { nanoseconds }
    package func wall() -> Int64 { seconds }
}
