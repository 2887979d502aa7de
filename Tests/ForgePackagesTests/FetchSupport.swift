import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// A directory of its own for a test, removed with the value.
final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/forge-fetch-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }

    deinit { try? Files.remove(path) }

    var partial: String { path + "/partial" }
}

/// Bytes that are the same every time and differ by seed; not compressible, so that an offset mistake shows.
func content(_ size: Int, seed: UInt64 = 1) -> [UInt8] {
    var word = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<size).map { _ in
        word ^= word << 13
        word ^= word >> 7
        word ^= word << 17
        return UInt8(truncatingIfNeeded: word >> 32)
    }
}

/// Short waits, so that a test of retries takes milliseconds.
func quick(_ change: (inout FetchOptions) -> Void = { _ in }) -> FetchOptions {
    var options = FetchOptions()
    options.retryDelay = .milliseconds(5)
    options.connectTimeout = 5
    options.stallSeconds = 5
    change(&options)
    return options
}

extension WantedObject {
    init(_ bytes: [UInt8], _ urls: String..., snapshots: [String] = [], name: String = "thing 1.0 (amd64)") {
        self.init(name: name, digest: Digest.of(bytes), urls: urls, snapshotURLs: snapshots)
    }
}

/// The error that `body` throws.
func failure(_ body: () throws -> Void) -> ForgeError? {
    do {
        try body()
        Issue.record("nothing was thrown")
    } catch let error as ForgeError {
        return error
    } catch { Issue.record("not a ForgeError: \(error)") }
    return nil
}

extension Array {
    /// Nil instead of a crash of the whole test run.
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
