import ForgeBase
import ForgeSystem
import Glibc

@testable import ForgeStore

/// A fresh directory, removed with the last reference.
final class TestSpace: Sendable {
    let path: String

    /// - Parameter inMemory: where the machine can, on a file system in memory: what a process leaves when it is killed does
    ///   not depend on the disk, and a thousand kills would wait for it a thousand times.
    init(inMemory: Bool = false) throws {
        let parent = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(parent)/forge-store-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ForgeError.system("cannot make a test directory") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { if getenv("KEEP_TEMPS") == nil { try? Directory.remove(path) } }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    func store(hook: (@Sendable (Store.WritePoint) throws -> Void)? = nil) throws -> Store {
        try Store(directory: path + "/cache", hook: hook)
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}
