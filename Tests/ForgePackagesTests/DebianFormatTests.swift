import ForgeArchive
import ForgeBase
import ForgeSystem
import Testing

@testable import ForgePackages

/// Control files, versions and relationships as Debian's own tools read them.
@Suite struct DebianFormatTests {
    /// Pieces that make versions which differ where the rules are subtle.
    static let pieces = [
        "0", "1", "01", "10", "9", "~", "~~", "+", ".", "a", "b", "Z", "rc", "-1", "~rc1", "+b1", "00",
    ]

    @Test func versionsAreOrderedAsDpkgOrdersThem() throws {
        var generator = SeededGenerator(seed: 3)
        func version() -> String {
            let epoch =
                Int.random(in: 0..<6, using: &generator) == 0 ? "\(Int.random(in: 0...2, using: &generator)):" : ""
            let count = Int.random(in: 0...5, using: &generator)
            return epoch + "1" + (0..<count).map { _ in Self.pieces.randomElement(using: &generator) ?? "" }.joined()
        }
        let pairs = (0..<500).map { _ in (version(), version()) }
        let script = pairs.map { a, b in
            "if dpkg --compare-versions '\(a)' lt '\(b)'; then echo -1; "
                + "elif dpkg --compare-versions '\(a)' eq '\(b)'; then echo 0; else echo 1; fi"
        }
        let scratch = Scratch()
        try scratch.write("script", script.joined(separator: "\n"))
        let output = try Shell.run("sh \(scratch.path)/script")
        let answers = output.lines.compactMap { Int($0) }
        try #require(answers.count == pairs.count, "\(output.text.prefix(500))")
        for (pair, answer) in zip(pairs, answers) {
            #expect(DebianVersion.compare(pair.0, pair.1).signum() == answer, "\(pair)")
            #expect(DebianVersion.compare(pair.1, pair.0).signum() == -answer, "\(pair) turned round")
        }
    }

    @Test func stanzasKeepOrderContinuationsAndLines() throws {
        let text = "# comment\nA: 1\nB:\n two\n .\n three\n\n\nC: x\n"
        let stanzas = try Deb822Stanza.parse(Array(text.utf8), file: "f")
        #expect(stanzas.count == 2)
        #expect(stanzas[0]["b"] == "\ntwo\n\nthree" && stanzas[0].field("B")?.line == 3)
        #expect(stanzas[1].fields.map(\.name) == ["C"])
    }

    @Test(arguments: [
        ("A: 1\nno colon\n", "f:2:1: not a control file: expected “Field: value”"),
        (" x\n", "f:1:1: not a control file: a continuation line without a field before it"),
        ("A: 1\na: 2\n", "f:2:1: not a control file: field “a” appears twice"),
    ])
    func faultsOfControlFilesHaveAPlace(_ text: String, _ message: String) {
        #expect(failure { _ = try Deb822Stanza.parse(Array(text.utf8), file: "f") }?.description == message)
    }

    @Test func relationshipsAreReadWithVersionsArchitecturesAndProfiles() throws {
        let text = "a (>= 1:2), b:any | c (<< 3) [amd64 !i386] <!nocheck>,d(=1),\n e ( > 4 ) ,"
        let names = try scan(text)
        #expect(names == ["a >= 1:2", "b:any  |", "c << 3 [amd64 !i386]", "d = 1", "e >= 4"])
    }

    @Test(arguments: ["a (>= 1", "a b", "(>= 1)", "a (~ 1)", "a [amd64", "a (>=)"])
    func malformedRelationshipsAreFaults(_ text: String) {
        #expect(throws: RelationScanner.Fault.self) { try scan(text) }
    }

    private func scan(_ text: String) throws -> [String] {
        try Array(text.utf8).withUnsafeBufferPointer { bytes in
            var scanner = RelationScanner(bytes, 0..<bytes.count)
            var out: [String] = []
            while let element = try scanner.next() {
                func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
                let name = text(element.name) + (element.qualifier.isEmpty ? "" : ":" + text(element.qualifier))
                let rest = element.architectures.isEmpty ? "" : " [\(text(element.architectures))]"
                out.append(
                    "\(name) \(element.comparison.text) \(text(element.version))\(rest)\(element.hasNext ? "|" : "")")
            }
            return out.map { $0.hasSuffix("  ") ? String($0.dropLast(2)) : $0 }
        }
    }

    @Test func aDamagedIndexHasAPlace() {
        var index = PackageIndex(architecture: "amd64")
        let origin = IndexOrigin(archive: "a", suite: "s", codename: "s", component: "main", pin: 500)
        let text = "Package: a\nVersion: 1\nArchitecture: amd64\nDepends: b (>> \n\n"
        let error = failure { try index.add(Array(text.utf8), origin: origin, file: "s/Packages") }
        #expect(error?.location?.line == 4)
        let other = failure { try index.add(Array("Package: a\n\n".utf8), origin: origin, file: "s/Packages") }
        #expect(other?.message == "not a package index: an entry without Package, Version or Architecture")
    }

    /// Readers differ in what they make of these, libsolv and forge among them; found by `ci/fuzz`.
    @Test(arguments: [
        ("Package: a\nVersion: 1\nArchitecture: amd64\nPackage: b\n", 4, "a field appears twice"),
        ("Package: a\nVersion: 1\nArchitecture: amd64\n\u{0}: b\n", 4, "a byte of zero"),
        ("Package: a\n b\nVersion: 1\nArchitecture: amd64\n", 1, "a Package or Version that is no word"),
        ("Package: \r\nVersion: 1\nArchitecture: amd64\n", 1, "a Package or Version that is no word"),
    ])
    func anIndexThatCanBeReadInTwoWaysIsRefused(_ text: String, _ line: Int, _ cause: String) {
        var index = PackageIndex(architecture: "amd64")
        let origin = IndexOrigin(archive: "a", suite: "s", codename: "s", component: "main", pin: 500)
        let error = failure { try index.add(Array(text.utf8), origin: origin, file: "s/Packages") }
        #expect(error?.location?.line == line && error?.message == "not a package index: \(cause)", "\(text)")
    }

    @Test func mutatedIndexesNeverCrash() throws {
        let text = Array(
            (0..<5).map { TinyArchive.package("p\($0)", "1.\($0)", ["Depends": "p1 (>= 1) | p2:any, p3"]) }.joined(
                separator: "\n"
            ).utf8)
        var generator = SeededGenerator(seed: 11)
        let origin = IndexOrigin(archive: "a", suite: "s", codename: "s", component: "main", pin: 500)
        for _ in 0..<3000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let at = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.removeSubrange(at..<min(bytes.count, at + 5))
                default: bytes.insert(contentsOf: "\n,(|:>".utf8, at: at)
                }
                if bytes.isEmpty { break }
            }
            var index = PackageIndex(architecture: "amd64")
            do {
                try index.add(bytes, origin: origin, file: "mutated")
                _ = try? Selection(base: .essential, packages: ["p0"], mergedUsr: false).resolve(in: index)
            } catch { continue }
        }
    }

    @Test func datesAreReadAndWritten() {
        #expect(HTTPDate.seconds("Sat, 11 Jul 2026 10:16:37 UTC") == 1_783_764_997)
        #expect(HTTPDate.seconds("Thu, 29 Feb 2024 23:59:59 +0000") == 1_709_251_199)
        #expect(HTTPDate.text(1_709_251_199) == "2024-02-29 23:59:59 UTC")
        #expect(HTTPDate.snapshot(1_783_764_997) == "20260711T101637Z")
        #expect(HTTPDate.seconds(snapshot: "20260711T101637Z") == 1_783_764_997)
        for text in ["", "yesterday", "Sat, 11 Jul 2026 10:16:37 CEST", "Sat, 11 Foo 2026 10:16:37 UTC"] {
            #expect(HTTPDate.seconds(text) == nil)
        }
    }

    @Test(arguments: [("xz", "xz -c"), ("gz", "gzip -c"), ("zst", "zstd -qc"), ("bz2", "bzip2 -c"), ("plain", "cat")])
    func indexesAreUnpackedAndBounded(_ name: String, _ tool: String) throws {
        let scratch = Scratch()
        let text = String(repeating: "Package: a\n", count: 20_000)
        try scratch.write("text", text)
        _ = try Shell.run("\(tool) \(scratch.path)/text > \(scratch.path)/packed")
        let packed = try Files.read(scratch.path + "/packed")
        #expect(try Archive.decompress(packed, limit: 220_000) == Array(text.utf8))
        #expect(
            failure { _ = try Archive.decompress(packed, limit: 219_999, name: "x") }?.message
                == "x unpacks to more than the 219999 bytes expected")
        if name == "xz" || name == "gz" {
            let cut = Array(packed.dropLast(40))
            #expect(failure { _ = try Archive.decompress(cut, limit: 220_000) }?.code == .verification)
        }
    }
}
