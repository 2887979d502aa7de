package import ForgeBase

/// Where a `Packages` file comes from, as apt's policy sees it.
package struct IndexOrigin: Sendable, Equatable {
    /// Archive id (`debian`, `debian-security`).
    package var archive: String
    /// The suite as it was asked for (`bookworm-backports`).
    package var suite: String
    package var codename: String
    package var component: String
    /// Priority of its packages, as in apt_preferences(5).
    package var pin: Int

    package init(archive: String, suite: String, codename: String, component: String, pin: Int) {
        self.archive = archive
        self.suite = suite
        self.codename = codename
        self.component = component
        self.pin = pin
    }
}

/// The packages of several `Packages` files, as apt's cache holds them: one order of package names, versions of a name
/// together, equal versions of several files merged.
package struct PackageIndex: Sendable {
    /// One version of a package.
    package struct Version: Sendable {
        /// Number of the name; apt's package ID.
        package var name: Int32
        /// Which text holds its stanza.
        var source: Int32
        var stanza: Range<UInt32>
        var version: Range<UInt32>
        package var isEssential = false
        /// `Protected: yes` or `Important: yes`.
        package var isProtected = false
        package var priority = Priority.extra
        package var isAllArchitectures = false
        /// Pre-Depends, then Depends, in the order of the file.
        var depends: Range<Int32> = 0..<0
        var recommends: Range<Int32> = 0..<0
        /// Conflicts and Breaks.
        var conflicts: Range<Int32> = 0..<0
        var provides: Range<Int32> = 0..<0
        /// Which origins list it.
        var origins: [Int32] = []
    }

    /// Priorities of packages; smaller is more important.
    package enum Priority: UInt8, Sendable, Comparable {
        case required, important, standard, optional, extra

        package static func < (lhs: Priority, rhs: Priority) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    /// One alternative of a relationship.
    struct Relation: Sendable {
        var name: Int32
        var comparison: VersionOperator
        var hasNext: Bool
        var version: Range<UInt32>
        var source: Int32
    }

    private(set) var origins: [IndexOrigin] = []
    private(set) var texts: [[UInt8]] = []
    private(set) var names = NameTable()
    package private(set) var versions: [Version] = []
    private(set) var relations: [Relation] = []
    /// First version of each name in `versions`, chained by `nextVersion`; -1 ends.
    private var firstVersion: [Int32] = []
    private var lastVersion: [Int32] = []
    private var nextVersion: [Int32] = []
    /// First provider of each name: number of an item of `providers`; -1 ends.
    private var firstProvider: [Int32] = []
    private var providers: [(version: Int32, relation: Int32, next: Int32)] = []
    let architecture: String

    package init(architecture: String) { self.architecture = architecture }

    /// Number of versions.
    package var count: Int { versions.count }

    /// Adds one `Packages` text; the order of calls is the order of apt's sources.
    /// - Parameter file: the name that errors carry.
    package mutating func add(_ text: [UInt8], origin: IndexOrigin, file: String) throws(ForgeError) {
        guard text.count < Int(UInt32.max) else { throw ForgeError(.verification, "\(file) is larger than 4 GiB") }
        texts.append(text)
        origins.append(origin)
        let result: Result<Void, ForgeError> = text.withUnsafeBufferPointer { bytes in
            do throws(ForgeError) {
                try scan(bytes, file: file)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    // MARK: Asking

    package func name(of version: Version) -> String { names.name(version.name) }

    package func versionText(of version: Version) -> String {
        String(decoding: versionBytes(version), as: UTF8.self)
    }

    func versionBytes(_ version: Version) -> ArraySlice<UInt8> {
        texts[Int(version.source)][Int(version.version.lowerBound)..<Int(version.version.upperBound)]
    }

    func versionBytes(_ relation: Relation) -> ArraySlice<UInt8> {
        texts[Int(relation.source)][Int(relation.version.lowerBound)..<Int(relation.version.upperBound)]
    }

    /// The versions of a name, in the order of the files.
    func versions(named name: Int32) -> [Int32] {
        var list: [Int32] = []
        var at = Int(name) < firstVersion.count ? firstVersion[Int(name)] : -1
        while at >= 0 {
            list.append(at)
            at = nextVersion[Int(at)]
        }
        return list
    }

    /// The versions that provide a name, with the relation that says so.
    func providers(of name: Int32) -> [(version: Int32, relation: Relation)] {
        var list: [(Int32, Relation)] = []
        var at = Int(name) < firstProvider.count ? firstProvider[Int(name)] : -1
        while at >= 0 {
            list.append((providers[Int(at)].version, relations[Int(providers[Int(at)].relation)]))
            at = providers[Int(at)].next
        }
        return list
    }

    /// Every field of a version's stanza.
    package func stanza(of version: Version) throws(ForgeError) -> Deb822Stanza {
        let name = name(of: version)
        guard let stanza = try Deb822Stanza.parse(stanzaBytes(version), file: "index entry of \(name)").first else {
            throw ForgeError(.bug, "the index entry of \(name) is empty")
        }
        return stanza
    }

    /// The bytes of a version's stanza, without the empty line behind it.
    func stanzaBytes(_ version: Version) -> [UInt8] {
        Array(texts[Int(version.source)][Int(version.stanza.lowerBound)..<Int(version.stanza.upperBound)])
    }

    /// A relationship as people write it: `a (>= 1) | b`.
    func text(ofGroup range: Range<Int32>) -> String {
        range.map { index in
            let relation = relations[Int(index)]
            let version = String(decoding: versionBytes(relation), as: UTF8.self)
            return names.name(relation.name) + (version.isEmpty ? "" : " (\(relation.comparison.text) \(version))")
        }.joined(separator: " | ")
    }

    // MARK: Building

    /// The number of a name, given now if it has none.
    mutating func intern(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        let id = names.intern(bytes)
        if Int(id) >= firstVersion.count {
            firstVersion.append(-1)
            lastVersion.append(-1)
            firstProvider.append(-1)
        }
        return id
    }

    mutating func append(_ relation: Relation) { relations.append(relation) }

    /// Adds a version, behind those of its name that are already there, with what it provides.
    mutating func append(_ version: Version) {
        let id = Int32(versions.count)
        versions.append(version)
        nextVersion.append(-1)
        let name = Int(version.name)
        if lastVersion[name] >= 0 { nextVersion[Int(lastVersion[name])] = id } else { firstVersion[name] = id }
        lastVersion[name] = id
        for index in version.provides {
            let provided = Int(relations[Int(index)].name)
            providers.append((id, index, firstProvider[provided]))
            firstProvider[provided] = Int32(providers.count - 1)
        }
    }

    /// Says that an origin lists a version that is already there.
    mutating func addOrigin(_ origin: Int32, to version: Int32) { versions[Int(version)].origins.append(origin) }
}
