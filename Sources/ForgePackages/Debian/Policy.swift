/// A rule that prefers or forbids versions, as a record of apt_preferences(5).
package struct PackagePin: Sendable, Equatable {
    /// Package names, or patterns with `*`.
    package var packages: [String]
    /// Suite, codename or archive id that the version must come from; nil for any.
    package var suite: String?
    /// The version, or a pattern with `*`; nil for any.
    package var version: String?
    /// As in apt: below zero never, 500 is usual, above 1000 wins over everything.
    package var priority: Int

    package init(packages: [String], suite: String? = nil, version: String? = nil, priority: Int) {
        self.packages = packages
        self.suite = suite
        self.version = version
        self.priority = priority
    }
}

/// Chooses the candidate of each name: the version with the highest pin, among those the highest.
struct Policy: Sendable {
    let pins: [PackagePin]
    /// Name → the one version that may be chosen, as a lock or a root `name=version` asks.
    var forced: [Int32: Int32] = [:]

    init(pins: [PackagePin]) { self.pins = pins }

    /// The candidate of a name, or nil if it has none.
    func candidate(of name: Int32, in index: PackageIndex) -> Int32? {
        if let forced = forced[name] { return forced }
        let versions = index.versions(named: name)
        if versions.isEmpty { return nil }
        let records = pins.isEmpty ? [] : records(for: index.names.name(name))
        var best: (pin: Int, version: Int32)?
        for id in versions {
            let pin = priority(of: id, in: index, records: records)
            guard pin >= 0 else { continue }
            guard let current = best else {
                best = (pin, id)
                continue
            }
            let newer =
                DebianVersion.compare(
                    index.versionBytes(index.versions[Int(id)]),
                    index.versionBytes(index.versions[Int(current.version)]))
                > 0
            if pin > current.pin || (pin == current.pin && newer) { best = (pin, id) }
        }
        return best?.version
    }

    private func records(for name: String) -> [PackagePin] {
        pins.filter { pin in pin.packages.contains { Glob.matches($0, name) } }
    }

    /// The first rule that names the package and fits decides; without one, the highest pin of the version's origins.
    private func priority(of id: Int32, in index: PackageIndex, records: [PackagePin]) -> Int {
        let version = index.versions[Int(id)]
        let origins = version.origins.map { index.origins[Int($0)] }
        for record in records {
            if let wanted = record.version, !Glob.matches(wanted, index.versionText(of: version)) { continue }
            if let suite = record.suite,
                !origins.contains(where: { $0.suite == suite || $0.codename == suite || $0.archive == suite })
            {
                continue
            }
            return record.priority
        }
        return origins.map(\.pin).max() ?? 500
    }
}

/// Patterns in which `*` stands for any text and `?` for one byte.
enum Glob {
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var (p, t) = (0, 0)
        var star: (p: Int, t: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] || pattern[p] == UInt8(ascii: "?") {
                p += 1
                t += 1
            } else if let (starAt, from) = star {
                star = (starAt, from + 1)
                p = starAt + 1
                t = from + 1
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
