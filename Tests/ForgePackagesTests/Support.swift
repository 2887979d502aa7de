import ForgeBase
import ForgeSystem
import Glibc
import Testing

extension Scratch {
    /// Writes a file below the directory.
    func write(_ name: String, _ text: String) throws {
        try Files.makeDirectories(Files.parent(of: "\(path)/\(name)"))
        try Files.write("\(path)/\(name)", text)
    }
}

/// Programs that tests compare with.
enum Shell {
    struct Output {
        var status: Int32
        var text: String
        var lines: [String] { text.split(separator: "\n").map(String.init) }
    }

    /// Runs a shell command; standard error goes with standard output.
    static func run(_ command: String) throws -> Output {
        guard let pipe = popen("( \(command) ) 2>&1", "re") else { throw ForgeError.system("cannot run a shell") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let got = fread(&buffer, 1, buffer.count, pipe), got > 0 { bytes += buffer[..<got] }
        let status = pclose(pipe)
        return Output(status: status >> 8 & 0xff, text: String(decoding: bytes, as: UTF8.self))
    }

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// Repeatable random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
