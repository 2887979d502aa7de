package import ForgeBase

/// What a stage asks of Debian archives: the options that determine its lock.
package struct DebianRequest: Sendable, Equatable {
    /// One suite of one archive.
    package struct Suite: Sendable, Equatable {
        /// Archive id: `debian`, `debian-security`, or one that `archives` names.
        package var archive: String
        /// Suite or codename; a path that ends in `/` for an archive without suites.
        package var suite: String
        package var components: [String]
        /// Priority instead of the suite's own.
        package var pin: Int?

        package init(archive: String, suite: String, components: [String] = ["main"], pin: Int? = nil) {
            self.archive = archive
            self.suite = suite
            self.components = components
            self.pin = pin
        }
    }

    /// What a recipe says of an archive beside its suites.
    package struct ArchiveSettings: Sendable, Equatable {
        /// Path of the keyring, below the recipe's folder or absolute; Debian's if nil.
        package var keyring: String?

        package init(keyring: String? = nil) { self.keyring = keyring }
    }

    package var architecture: String
    /// In the order of apt's sources.
    package var suites: [Suite]
    /// By archive id.
    package var archives: [String: ArchiveSettings]
    package var selection: Selection
    /// Source packages, as `name` or `name=version`; if there are some, no binary package is asked for.
    package var sources: [String]
    /// The state of the archives to lock, `20250520T000000Z`; nil for the newest.
    package var snapshot: String?

    package init(
        architecture: String = "amd64", suites: [Suite], archives: [String: ArchiveSettings] = [:],
        selection: Selection, sources: [String] = [], snapshot: String? = nil
    ) {
        self.architecture = architecture
        self.suites = suites
        self.archives = archives
        self.selection = selection
        self.sources = sources
        self.snapshot = snapshot
    }

    /// The architecture whose indexes say what there is; nil for sources, which are of none.
    var indexArchitecture: String? { sources.isEmpty ? architecture : nil }

    /// Refuses what can't be a suite, a component or an architecture: they become parts of URLs.
    /// - Throws: `.badInput`.
    func check() throws(ForgeError) {
        for suite in suites {
            for word in [suite.suite] + suite.components + [architecture] where !DebianRequest.isSafe(word) {
                throw ForgeError(
                    .badInput, "“\(word)” can't be a suite, a component or an architecture",
                    remedy: "correct the repositories in the recipe")
            }
        }
        if let snapshot, HTTPDate.seconds(snapshot: snapshot) == nil {
            throw ForgeError(
                .badInput, "“\(snapshot)” can't be the time of a snapshot",
                remedy: "write it like 20250520T000000Z, in UTC")
        }
    }

    private static func isSafe(_ word: String) -> Bool {
        !word.isEmpty && !word.contains("..") && !word.hasPrefix("-")
            && word.utf8.allSatisfy { byte in
                (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a)
                    || "+-./_~".utf8.contains(byte)
            }
    }

    /// What determines the lock. URLs are not in it: the same archive is the same from every mirror.
    package var json: JSON {
        func texts(_ list: [String]) -> JSON { .array(list.map(JSON.string)) }
        let suites = suites.map { suite -> JSON in
            var fields: [(String, JSON)] = [
                ("archive", .string(suite.archive)), ("suite", .string(suite.suite)),
                ("components", texts(suite.components)),
            ]
            if let pin = suite.pin { fields.append(("pin", .int(Int64(pin)))) }
            return .object(fields)
        }
        var fields: [(String, JSON)] = [("suites", .array(suites))]
        if let snapshot { fields.append(("snapshot", .string(snapshot))) }
        guard sources.isEmpty else { return JSON.object(fields + [("sources", texts(sources))]).canonical }
        let pins = selection.pins.map { pin -> JSON in
            var fields: [(String, JSON)] = [("packages", texts(pin.packages)), ("priority", .int(Int64(pin.priority)))]
            if let suite = pin.suite { fields.append(("suite", .string(suite))) }
            if let version = pin.version { fields.append(("version", .string(version))) }
            return .object(fields)
        }
        fields += [
            ("architecture", .string(architecture)), ("base", .string(selection.base.rawValue)),
            ("packages", texts(selection.packages)),
            ("recommends", .bool(selection.recommends)), ("merged-usr", .bool(selection.mergedUsr)),
            ("pins", .array(pins)),
        ]
        return JSON.object(fields).canonical
    }
}
