package import ForgeBase

/// The signed table of contents of a suite (`Release`), as far as forge needs it.
package struct ReleaseFile: Sendable {
    package var suite: String
    package var codename: String
    /// Seconds since 1970.
    package var date: Int64
    /// Seconds since 1970; nil if it never expires.
    package var validUntil: Int64?
    package var components: [String]
    package var architectures: [String]
    package var hasByHash: Bool
    package var isNotAutomatic: Bool
    package var isButAutomaticUpgrades: Bool
    /// URL of a snapshot service with `@SNAPSHOTID@` in it; nil or `no` if the archive has none.
    package var snapshots: String?
    /// SHA-256 and size of the files below the suite's directory. MD5 and SHA-1 are not looked at.
    package var files: [String: Digest]

    /// Reads the signed text.
    /// - Parameter name: what errors call it.
    package init(parsing text: [UInt8], name: String) throws(ForgeError) {
        guard let stanza = try Deb822Stanza.parse(text, file: name).first else {
            throw ForgeError(.verification, "\(name) is empty")
        }
        suite = stanza["Suite"] ?? ""
        codename = stanza["Codename"] ?? ""
        guard let date = stanza["Date"].flatMap({ HTTPDate.seconds($0) }) else {
            throw ForgeError(.verification, "\(name) has no readable Date")
        }
        self.date = date
        if let text = stanza["Valid-Until"] {
            guard let seconds = HTTPDate.seconds(text) else {
                throw ForgeError(.verification, "\(name): Valid-Until “\(text)” can't be read")
            }
            validUntil = seconds
        }
        // Debian's security archive prefixes its components with `updates/`, but not its directories.
        components = stanza.words("Components").map { $0.split(separator: "/").last.map(String.init) ?? $0 }
        architectures = stanza.words("Architectures")
        hasByHash = stanza["Acquire-By-Hash"] == "yes"
        isNotAutomatic = stanza["NotAutomatic"] == "yes"
        isButAutomaticUpgrades = stanza["ButAutomaticUpgrades"] == "yes"
        snapshots = stanza["Snapshots"]
        files = try ReleaseFile.files(stanza, name: name)
    }

    private static func files(_ stanza: Deb822Stanza, name: String) throws(ForgeError) -> [String: Digest] {
        guard let field = stanza.field("SHA256") else {
            throw ForgeError(
                .verification, "\(name) lists no SHA-256 sums",
                remedy: "ask the archive's owner to publish SHA256; older sums are not safe")
        }
        var files: [String: Digest] = [:]
        for (offset, line) in field.value.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.isEmpty { continue }
            guard words.count == 3, let size = Int64(words[1]), size >= 0,
                let digest = Digest(hex: words[0].lowercased(), size: size)
            else {
                throw ForgeError(
                    .verification, "a line of SHA256 is malformed",
                    at: SourceLocation(file: name, line: field.line + offset, column: 1))
            }
            files[String(words[2])] = digest
        }
        return files
    }

    /// Priority of the suite's packages without a pin, as in apt_preferences(5).
    package var defaultPin: Int {
        isNotAutomatic ? (isButAutomaticUpgrades ? 100 : 1) : 500
    }

    /// What a release must have to be the one that was asked for, now.
    package struct Expectation: Sendable {
        package var suite: String
        package var components: [String]
        /// Nil if sources are wanted, which are of no architecture.
        package var architecture: String?
        /// Seconds since 1970.
        package var now: Int64
        package var allowsExpired: Bool
    }

    /// How far in the future a Date may lie, in seconds: clocks differ.
    static let allowedSkew: Int64 = 10 * 60

    /// Checks everything that the signature alone does not say: another suite of the archive, or an old state of it, is
    /// signed as well.
    /// - Throws: `.verification`.
    package func check(_ expected: Expectation, name: String) throws(ForgeError) {
        let isFlat = expected.suite.hasSuffix("/")
        guard isFlat || expected.suite == suite || expected.suite == codename else {
            throw ForgeError(
                .verification, "\(name) is of another suite than “\(expected.suite)”",
                details: ["Suite: \(suite), Codename: \(codename)"],
                remedy: "correct the suite in the recipe, or use another mirror: this one may be redirected or altered")
        }
        if date > expected.now + ReleaseFile.allowedSkew {
            throw ForgeError(
                .verification, "\(name) is from the future",
                details: [
                    "its Date is \(HTTPDate.text(date))", "this machine's clock says \(HTTPDate.text(expected.now))",
                ],
                remedy: "set the machine's clock")
        }
        if let validUntil, expected.now > validUntil, !expected.allowsExpired {
            throw ForgeError(
                .verification, "\(name) has expired",
                details: [
                    "it was valid until \(HTTPDate.text(validUntil))", "now it is \(HTTPDate.text(expected.now))",
                    "an old state lacks security updates; a mirror that has stopped or an attacker may serve it",
                ],
                remedy: "use a mirror that is up to date, or accept the old state with --allow-expired")
        }
        if isFlat { return }
        for component in expected.components where !components.contains(component) {
            throw ForgeError(
                .verification, "\(name) has no component “\(component)”",
                details: ["it has \(components.joined(separator: ", "))"],
                remedy: "correct `components` in the recipe\(Suggestion.hint(for: component, in: components))")
        }
        if let architecture = expected.architecture, !architectures.isEmpty, !architectures.contains(architecture) {
            throw ForgeError(
                .verification, "\(name) has no packages for \(architecture)",
                details: ["it has \(architectures.joined(separator: ", "))"],
                remedy: "choose another architecture or suite")
        }
    }

    /// The index files of some components: path below the suite's directory and digest, each in the best compression.
    /// - Parameter architecture: nil for the indexes of sources.
    package func indexes(
        components: [String], architecture: String?, isFlat: Bool, name: String
    ) throws(ForgeError) -> [(component: String, path: String, digest: Digest, plainSize: Int64?)] {
        var list: [(String, String, Digest, Int64?)] = []
        for component in isFlat ? [""] : components {
            let folder = architecture.map { "binary-\($0)" } ?? "source"
            let file = architecture == nil ? "Sources" : "Packages"
            let stem = isFlat ? file : "\(component)/\(folder)/\(file)"
            let path = [".xz", ".zst", ".gz", ""].map { stem + $0 }.first { files[$0] != nil }
            guard let path, let digest = files[path] else {
                throw ForgeError(
                    .verification, "\(name) lists no \(stem)",
                    remedy: architecture.map {
                        "the archive has no packages of component “\(component)” for \($0)"
                    } ?? "name an archive that has sources of component “\(component)”")
            }
            list.append((component, path, digest, files[stem]?.size))
        }
        return list
    }
}

/// Dates of Release files: `Sat, 11 Jul 2026 10:16:37 UTC`.
package enum HTTPDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Seconds since 1970; nil for anything else.
    package static func seconds(_ text: String) -> Int64? {
        var words = text.split(separator: " ").map(String.init)
        if words.first?.hasSuffix(",") == true { words.removeFirst() }
        guard words.count == 5, ["UTC", "GMT", "+0000"].contains(words[4]), let day = Int64(words[0]),
            let month = months.firstIndex(of: words[1]), let year = Int64(words[2]), year >= 1970, year < 10_000
        else { return nil }
        let clock = words[3].split(separator: ":").map { Int64($0) ?? -1 }
        guard clock.count == 3, (0..<24).contains(clock[0]), (0..<60).contains(clock[1]), (0...60).contains(clock[2]),
            (1...31).contains(day)
        else { return nil }
        let days = CivilDate(year: year, month: Int64(month + 1), day: day).daysSince1970
        return days * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
    }

    /// The date as `2026-07-11 10:16:37 UTC`.
    package static func text(_ seconds: Int64) -> String {
        let (date, time) = CivilDate.split(seconds)
        return "\(date.year)-\(pad(date.month))-\(pad(date.day)) "
            + "\(pad(time / 3600)):\(pad(time / 60 % 60)):\(pad(time % 60)) UTC"
    }

    /// The date as snapshot services write it: `20260711T101637Z`.
    package static func snapshot(_ seconds: Int64) -> String {
        let (date, time) = CivilDate.split(seconds)
        return "\(date.year)\(pad(date.month))\(pad(date.day))T"
            + "\(pad(time / 3600))\(pad(time / 60 % 60))\(pad(time % 60))Z"
    }

    /// Seconds since 1970 of a snapshot's time; nil for anything else.
    package static func seconds(snapshot text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            bytes[range].allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
                ? Int64(String(decoding: bytes[range], as: UTF8.self)) : nil
        }
        guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8), let hour = number(9..<11),
            let minute = number(11..<13), let second = number(13..<15), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let days = CivilDate(year: year, month: month, day: day).daysSince1970
        return days * 86400 + hour * 3600 + minute * 60 + second
    }

    private static func pad(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

/// A day of the Gregorian calendar; the C library's functions depend on the machine's time zone.
struct CivilDate {
    var year: Int64
    var month: Int64
    var day: Int64

    /// Years begin in March here, so that the leap day is their last.
    var daysSince1970: Int64 {
        let year = month <= 2 ? self.year - 1 : self.year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// A date and the seconds of its day.
    static func split(_ seconds: Int64) -> (date: CivilDate, time: Int64) {
        let days = (seconds >= 0 ? seconds : seconds - 86399) / 86400
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let month = part < 10 ? part + 3 : part - 9
        let date = CivilDate(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month, day: dayOfYear - (153 * part + 2) / 5 + 1)
        return (date, seconds - days * 86400)
    }
}
