import ForgeBase
import ForgeSystem
import Glibc
import StoreSamples

@testable import ForgeStore

/// The programs that the tests run in processes of their own.
enum Tools {
    static let probe = path("forge-store-probe")
    static let inject = path("forge-inject")

    /// Where the package manager puts executables: beside the test bundle.
    private static func path(_ name: String) -> String {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
        let parts = bundle.split(separator: "/", omittingEmptySubsequences: false)
        let end = parts.firstIndex { $0.hasSuffix(".xctest") } ?? parts.endIndex
        let beside = parts[..<end].joined(separator: "/") + "/" + name
        return Files.absolute(beside) ?? Files.parent(of: #filePath) + "/../../.build/debug/" + name
    }

    /// Whether processes may be stopped at their system calls here: containers may forbid it, other processors are
    /// unknown to the program.
    static let canInject: Bool = {
        // Not built is no reason to pass the tests over.
        guard Files.exists(inject) else { return true }
        let report = try? Command(inject, ["--kill", "1000000", "/bin/true"], errors: .null).start().drain().report
        return report?.succeeded == true
    }()

    static let isRoot = geteuid() == 0

    /// Runs a program to its end.
    static func run(_ program: String, _ words: [String]) throws -> (code: Int32, text: String) {
        var output: [UInt8] = []
        let (report, timedOut) = try Command(program, words).start().drain(timeoutSeconds: 300) { bytes, _ in
            output += bytes
        }
        let text = String(decoding: output, as: UTF8.self) + (timedOut ? "\n(it took too long)" : "")
        switch report.status {
        case .exited(let code): return (code, text)
        case .signalled(let signal): return (128 + signal, text)
        }
    }

    /// A copy of a directory with its modes.
    static func copy(_ from: String, _ to: String) throws {
        try Files.remove(to)
        let done = try run("/bin/cp", ["-a", from, to])
        guard done.code == 0 else { throw ForgeError(.io, "cp: \(done.text)") }
    }

    /// A small file system of its own; nil where it can't be had.
    static func mountSmall(_ path: String, bytes: Int) throws -> SmallDisk? {
        try Files.makeDirectories(path)
        guard isRoot, mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 else { return nil }
        return SmallDisk(path: path)
    }

    /// Unmounted with the value.
    final class SmallDisk {
        let path: String

        init(path: String) { self.path = path }

        func resize(_ bytes: Int) -> Bool { mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT), "size=\(bytes)") == 0 }

        deinit { umount2(path, Int32(MNT_DETACH)) }
    }
}

/// Everything that a store can be asked for, as values to compare.
struct Contents: Equatable {
    var results: [Digest: ActionResult] = [:]
    /// What results need.
    var objects: Set<Digest> = []

    init(_ store: Store, samples: Range<Int>) throws {
        for number in samples {
            let key = Sample(number).key
            guard let result = try store.lookup(key) else { continue }
            results[key] = result
            for output in result.outputs {
                for object in try store.closure(output.digest, output.kind) ?? [] {
                    // Reading checks the hash.
                    _ = try store.read(object)
                    objects.insert(object)
                }
            }
        }
    }
}
