import ForgeBase
import ForgeEngine
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// Remembers that a build left nothing to do, together with everything of the file system that it was made from: as long as
/// none of that changes, the next build is a look at each file and nothing else. No recipe is parsed, no key made.
struct UpToDate {
    let session: Session

    private static let format = "up to date 2"
    /// Longest time, in seconds, without asking the cache: results that are used must not look unused to garbage collection.
    private static let longest: Int64 = 3600

    /// The report of a build with nothing to do; nil if that has to be found out.
    func report() throws -> BuildReport? {
        let start = session.seconds
        guard let value = try file().read(), let note = Note(value) else { return nil }
        let age = session.time.wall() - note.written
        guard age >= 0, age < UpToDate.longest, note.witnesses.stillHold() else { return nil }
        for warning in note.warnings { session.console.warning(warning) }
        return BuildReport(
            recipe: note.recipe, ran: 0, hit: note.hit, seconds: session.seconds - start,
            artifacts: session.console.quiet && !session.console.json ? [] : note.artifacts)
    }

    /// - Parameter witnesses: what the plan was made from, and what was published.
    func remember(_ outcome: Build.Outcome, _ witnesses: FileWitnesses) throws {
        let note = Note(
            written: session.time.wall(), recipe: outcome.recipe.name, hit: outcome.count(.hit) + outcome.count(.ran),
            warnings: outcome.recipe.warnings.map(\.description), artifacts: outcome.artifacts, witnesses: witnesses)
        try file().write(note.bytes)
    }

    private func file() throws -> NoteFile {
        NoteFile(cache: try session.cacheDirectory(), folder: "up-to-date", key: try key())
    }

    /// What is asked for: everything besides files that decides what a build does.
    private func key() throws -> [UInt8] {
        var encoder = CanonicalEncoder(domain: UpToDate.format)
        encoder.add(Version.text)
        // Another forge may plan differently.
        if let path = Host.executablePath, let program = try Files.status(path)?.identity {
            encoder.add("\(program.device) \(program.inode) \(program.size) \(program.modified)")
        }
        encoder.add(session.layout.root)
        encoder.add(session.layout.workingDirectory)
        encoder.add(session.arguments.operand(0) ?? "")
        encoder.add(session.arguments.value("output") ?? "")
        encoder.add(try session.epochOverride().map { String($0) } ?? "")
        for (name, value) in try session.arguments.pairs("set") {
            encoder.add(name)
            encoder.add(value)
        }
        return encoder.bytes
    }
}

extension UpToDate {
    /// What is kept: a line of JSON, a line for each artifact, the witnesses.
    private struct Note {
        var written: Int64
        var recipe: String
        var hit: Int
        var warnings: [String]
        private var lines: ArraySlice<UInt8>
        var witnesses: FileWitnesses

        init(
            written: Int64, recipe: String, hit: Int, warnings: [String], artifacts: [PublishedArtifact],
            witnesses: FileWitnesses
        ) {
            self.written = written
            self.recipe = recipe
            self.hit = hit
            self.warnings = warnings
            self.witnesses = witnesses
            lines =
                Array(
                    artifacts.map { "\($0.digest)\t\($0.mediaType)\t\($0.path)\t\($0.absolute)\n" }.joined().utf8)[...]
        }

        /// nil for bytes that are no note.
        init?(_ bytes: ArraySlice<UInt8>) {
            let newline = UInt8(ascii: "\n")
            guard let end = bytes.firstIndex(of: newline),
                let json = try? JSON(parsing: Array(bytes[..<end]), file: "note"),
                let written = json["written"]?.int, let recipe = json["recipe"]?.string, let hit = json["hit"]?.int,
                let warnings = json["warnings"]?.array, let length = json["artifacts"]?.int,
                length >= 0, end + 1 + Int(length) <= bytes.endIndex
            else { return nil }
            self.written = written
            self.recipe = recipe
            self.hit = Int(hit)
            self.warnings = warnings.compactMap(\.string)
            lines = bytes[(end + 1)..<(end + 1 + Int(length))]
            witnesses = FileWitnesses(bytes: Array(bytes[(end + 1 + Int(length))...]))
        }

        var bytes: [UInt8] {
            let header = JSON.object([
                ("written", .int(written)), ("recipe", .string(recipe)), ("hit", .int(Int64(hit))),
                ("warnings", .array(warnings.map(JSON.string))), ("artifacts", .int(Int64(lines.count))),
            ])
            return Array("\(header)\n".utf8) + lines + witnesses.bytes
        }

        /// Read only where somebody wants to see them.
        var artifacts: [PublishedArtifact] {
            lines.split(separator: UInt8(ascii: "\n")).compactMap { line in
                let fields = line.split(separator: UInt8(ascii: "\t"), maxSplits: 3).map {
                    String(decoding: $0, as: UTF8.self)
                }
                guard fields.count == 4, let digest = Digest(fields[0]) else { return nil }
                return PublishedArtifact(
                    path: fields[2], absolute: fields[3], digest: digest, mediaType: fields[1])
            }
        }
    }
}
