import ForgeBase
import ForgeSystem

/// A reader of bytes that forge does not trust, with what must hold whatever the bytes are.
///
/// libFuzzer runs these by `ci/fuzz`, `swift test` over the corpus that it has found.
package struct FuzzTarget: Sendable {
    package var name: String
    /// Reads one input.
    /// - Throws: `Breach` if something that must hold does not.
    package var run: @Sendable (_ input: [UInt8]) throws -> Void

    init(_ name: String, _ run: @escaping @Sendable (_ input: [UInt8]) throws -> Void) {
        self.name = name
        self.run = run
    }

    package static let all: [FuzzTarget] = [
        FuzzTarget("json", fuzzJSON),
        FuzzTarget("events", fuzzEvents),
        FuzzTarget("yaml", fuzzYAML),
        FuzzTarget("recipe", fuzzRecipe),
        FuzzTarget("stage", fuzzStage),
        FuzzTarget("lock", fuzzLock),
        FuzzTarget("packages", fuzzPackages),
        FuzzTarget("release", fuzzRelease),
        FuzzTarget("sources", fuzzSources),
        FuzzTarget("checksums", fuzzChecksums),
        FuzzTarget("image", fuzzImage),
        FuzzTarget("archive", fuzzArchive),
        FuzzTarget("tree", fuzzTree),
        FuzzTarget("rows", fuzzRows),
    ]

    package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Something that must hold did not.
package struct Breach: Error, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

func require(_ holds: Bool, _ message: @autoclosure () -> String) throws {
    if !holds { throw Breach(message()) }
}

/// What every refusal must say.
struct Refusal {
    /// The file that places name; nil: no place is asked for.
    var file: String?
    /// Lines that the input has.
    var lines = Int.max
    var codes: Set<ExitCode> = [.badInput, .verification]

    /// For texts: every refusal has a line of the input.
    static func of(_ input: [UInt8], file: String) -> Refusal {
        // libyaml takes these as ends of lines: LF, CR, NEL, LS, PS. At the end of the text it is one line further.
        var lines = 2
        for (i, byte) in input.enumerated() {
            switch byte {
            case 0x0a, 0x0d, 0x85: lines += 1
            case 0xa8, 0xa9: if i > 0, input[i - 1] == 0x80 { lines += 1 }
            default: break
            }
        }
        return Refusal(file: file, lines: lines)
    }

    /// What `body` gives; nil if it refused the input as it should.
    func unless<T>(_ body: () throws -> T) throws -> T? {
        do { return try body() } catch let error as ForgeError {
            try check(error)
        } catch let several as ForgeErrors {
            try require(!several.errors.isEmpty, "refused without a reason")
            for error in several.errors { try check(error) }
        } catch let breach as Breach {
            throw breach
        } catch {
            throw Breach("threw \(type(of: error)): \(error)")
        }
        return nil
    }

    private func check(_ error: ForgeError) throws {
        try require(codes.contains(error.code), "exit code \(error.code): \(error)")
        try require(!error.message.isEmpty, "no message")
        guard let file else { return }
        guard let location = error.location else { throw Breach("no place: \(error)") }
        try require(location.file == file, "another file: \(error)")
        try require((1...lines).contains(location.line), "line \(location.line) of \(lines): \(error)")
        try require(location.column >= 1, "column \(location.column): \(error)")
    }
}

/// The repository, whose recipes and stages are samples.
enum Repository {
    static let root: String = {
        var path = #filePath
        for _ in 0..<4 { path = Files.parent(of: path) }
        return path
    }()
}
