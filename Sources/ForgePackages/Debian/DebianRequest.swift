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
        /// Base URLs; host configuration and flags are used if there are none.
        package var uris: [String] = []
        /// Path of the keyring, below the recipe's folder or absolute; Debian's if nil.
        package var keyring: String?
        /// Base URL of a snapshot service with `@SNAPSHOTID@` in it.
        package var snapshot: String?

        package init(uris: [String] = [], keyring: String? = nil, snapshot: String? = nil) {
            self.uris = uris
            self.keyring = keyring
            self.snapshot = snapshot
        }
    }

    package var architecture: String
    /// In the order of apt's sources.
    package var suites: [Suite]
    /// By archive id.
    package var archives: [String: ArchiveSettings]
    package var selection: Selection
    /// The state of the archives to lock, `20250520T000000Z`; nil for the newest.
    package var snapshot: String?

    package init(
        architecture: String = "amd64", suites: [Suite], archives: [String: ArchiveSettings] = [:],
        selection: Selection, snapshot: String? = nil
    ) {
        self.architecture = architecture
        self.suites = suites
        self.archives = archives
        self.selection = selection
        self.snapshot = snapshot
    }

    /// Reads a stage's options: `suites`, `components`, `archives`, `packages`, `base`, `recommends`, `merged-usr`, `pins`
    /// and `snapshot`; others are of no concern here.
    /// - Throws: `.badInput` that names the option.
    package init(options: JSON, architecture: String) throws(ForgeError) {
        self.architecture = architecture
        let components = try DebianRequest.texts(options["components"], "components") ?? ["main"]
        guard let list = options["suites"]?.array, !list.isEmpty else {
            throw ForgeError(.badInput, "option “suites” is missing or no list", remedy: "name at least one suite")
        }
        suites = []
        for item in list { suites.append(try DebianRequest.suite(item, components: components)) }
        archives = [:]
        for (id, item) in options["archives"]?.object ?? [] {
            archives[id] = ArchiveSettings(
                uris: try DebianRequest.texts(item["uris"], "archives.\(id).uris")
                    ?? item["uri"]?.string.map { [$0] } ?? [],
                keyring: item["keyring"]?.string, snapshot: item["snapshot"]?.string)
        }
        let base = options["base"]?.string ?? BaseSet.required.rawValue
        guard let base = BaseSet(rawValue: base) else {
            let known = BaseSet.allCases.map(\.rawValue)
            throw ForgeError(
                .badInput, "option “base” can't be “\(base)”\(Suggestion.hint(for: base, in: known))",
                details: ["it is one of \(known.joined(separator: ", "))"])
        }
        selection = Selection(
            base: base, packages: try DebianRequest.texts(options["packages"], "packages") ?? [],
            recommends: options["recommends"]?.bool ?? false, mergedUsr: options["merged-usr"]?.bool ?? true)
        for item in options["pins"]?.array ?? [] { selection.pins.append(try DebianRequest.pin(item)) }
        snapshot = options["snapshot"]?.string
        if let snapshot, snapshot.isEmpty { self.snapshot = nil }
        if let snapshot = self.snapshot, HTTPDate.seconds(snapshot: snapshot) == nil {
            throw ForgeError(
                .badInput, "option “snapshot” can't be “\(snapshot)”", remedy: "write it like 20250520T000000Z, in UTC")
        }
    }

    /// `bookworm`, `bookworm-security` (of the archive debian-security), or an object with the fields of `Suite`.
    private static func suite(_ item: JSON, components: [String]) throws(ForgeError) -> Suite {
        let name = item.string ?? item["suite"]?.string ?? ""
        guard !name.isEmpty else { throw ForgeError(.badInput, "option “suites”: an item names no suite") }
        guard name.utf8.allSatisfy({ isSafe($0) }), !name.contains("..") else {
            throw ForgeError(.badInput, "option “suites”: “\(name)” can't be a suite")
        }
        let archive = item["archive"]?.string ?? (name.hasSuffix("-security") ? "debian-security" : "debian")
        return Suite(
            archive: archive, suite: name,
            components: try texts(item["components"], "suites.components") ?? components,
            pin: item["pin"]?.int.map { Int($0) })
    }

    private static func isSafe(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) || "+-./_~".utf8.contains(byte)
    }

    private static func pin(_ item: JSON) throws(ForgeError) -> PackagePin {
        var packages = try texts(item["packages"], "pins.packages") ?? []
        if let package = item["package"]?.string { packages.append(package) }
        guard !packages.isEmpty, let priority = item["priority"]?.int else {
            throw ForgeError(.badInput, "option “pins”: an item needs `package` or `packages`, and `priority`")
        }
        return PackagePin(
            packages: packages, suite: item["suite"]?.string, version: item["version"]?.string, priority: Int(priority))
    }

    private static func texts(_ json: JSON?, _ name: String) throws(ForgeError) -> [String]? {
        guard let json, json != .null else { return nil }
        guard let list = json.array else { throw ForgeError(.badInput, "option “\(name)” is no list") }
        var out: [String] = []
        for item in list {
            guard let text = item.string else { throw ForgeError(.badInput, "option “\(name)” has an item that is no text") }
            out.append(text)
        }
        return out
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
        let pins = selection.pins.map { pin -> JSON in
            var fields: [(String, JSON)] = [("packages", texts(pin.packages)), ("priority", .int(Int64(pin.priority)))]
            if let suite = pin.suite { fields.append(("suite", .string(suite))) }
            if let version = pin.version { fields.append(("version", .string(version))) }
            return .object(fields)
        }
        var fields: [(String, JSON)] = [
            ("architecture", .string(architecture)), ("suites", .array(suites)),
            ("base", .string(selection.base.rawValue)), ("packages", texts(selection.packages)),
            ("recommends", .bool(selection.recommends)), ("merged-usr", .bool(selection.mergedUsr)),
            ("pins", .array(pins)),
        ]
        if let snapshot { fields.append(("snapshot", .string(snapshot))) }
        return JSON.object(fields).canonical
    }
}
