package import ForgeBase

/// A version as upstream counts it: its numbers, without what distributions put around them. `1.20.5+really1.20.2-1.1`
/// is 1.20.2, `1.6.20~ds1-1` is 1.6.20, `v1.32.1` is 1.32.1.
package struct UpstreamVersion: Sendable, Equatable, Comparable, CustomStringConvertible {
    package let numbers: [Int]

    /// Nil if the text does not begin with a number.
    package init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        if let colon = rest.firstIndex(of: UInt8(ascii: ":")) { rest = rest[(colon + 1)...] }
        // What a distribution says that it really is (Debian's `+really`).
        let really = Array("+really".utf8)
        if let at = rest.indices.first(where: { rest[$0...].starts(with: really) }) {
            rest = rest[(at + really.count)...]
        }
        if rest.first == UInt8(ascii: "v") { rest = rest.dropFirst() }
        let plain = rest.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
        let parts = String(decoding: plain, as: UTF8.self).split(separator: ".").map { Int($0) }
        guard !parts.isEmpty, !parts.contains(nil) else { return nil }
        numbers = parts.compactMap { $0 }
    }

    package var description: String { numbers.map(String.init).joined(separator: ".") }

    /// Missing numbers count as zeros: 2 is 2.0.
    private func padded(_ count: Int) -> [Int] {
        numbers + Array(repeating: 0, count: max(0, count - numbers.count))
    }

    package static func == (a: UpstreamVersion, b: UpstreamVersion) -> Bool { !(a < b) && !(b < a) }

    package static func < (a: UpstreamVersion, b: UpstreamVersion) -> Bool {
        let count = max(a.numbers.count, b.numbers.count)
        return a.padded(count).lexicographicallyPrecedes(b.padded(count))
    }
}

/// A condition on one version, written `containerd >= 1.6`.
package struct VersionTest: Sendable, Equatable, CustomStringConvertible {
    package enum Relation: String, Sendable, CaseIterable {
        case less = "<"
        case lessOrEqual = "<="
        case equal = "="
        case greaterOrEqual = ">="
        case greater = ">"
    }

    package var name: String
    package var relation: Relation
    package var version: UpstreamVersion

    /// Nil for a text of another form.
    package init?(_ text: String) {
        let words = text.split(separator: " ").map(String.init)
        guard words.count == 3, TextFormat.name.accepts(words[0]), let relation = Relation(rawValue: words[1]),
            let version = UpstreamVersion(words[2])
        else { return nil }
        (self.name, self.relation, self.version) = (words[0], relation, version)
    }

    package func holds(for other: UpstreamVersion) -> Bool {
        switch relation {
        case .less: other < version
        case .lessOrEqual: other <= version
        case .equal: other == version
        case .greaterOrEqual: other >= version
        case .greater: other > version
        }
    }

    package var description: String { "\(name) \(relation.rawValue) \(version)" }
}

/// What of the parts that a stage brings together does not work together, from its `stage.yaml`: where `condition` holds,
/// `need` must hold too.
package struct CompatibilityRule: Sendable, Equatable {
    package var condition: VersionTest
    package var need: VersionTest
    package var because: String
}

/// Where a recipe has a version from that the rules of a stage ask for.
package enum VersionSource: Sendable, Equatable {
    case text(String)
    /// That of a package in the lock of another stage of the recipe.
    case locked(stage: String, package: String)
}

/// A version that a stage of a recipe is told for its rules.
package struct NamedVersion: Sendable, Equatable {
    package var name: String
    package var source: VersionSource
    package var location: SourceLocation
}

/// Reads rules and versions.
struct CompatibilityReader {
    let faults: Faults

    /// `compatibility` of a stage.
    func rules(_ nodes: [YAMLNode], of what: String) -> [CompatibilityRule] {
        nodes.compactMap { node in
            guard let fields = Fields(node, "a rule of “compatibility” of \(what)", faults) else { return nil }
            defer { fields.finish() }
            guard let condition = test("if", fields), let need = test("need", fields),
                let because = fields.string("because", required: true)
            else { return nil }
            return CompatibilityRule(condition: condition, need: need, because: because)
        }
    }

    private func test(_ key: String, _ fields: Fields) -> VersionTest? {
        guard let text = fields.string(key, required: true) else { return nil }
        if let test = VersionTest(text) { return test }
        faults.add(
            "“\(text)” is no condition on a version", at: fields.node(key)?.location ?? fields.location,
            remedy: "write a name, one of < <= = >= > and a version: containerd >= 1.6")
        return nil
    }

    /// `versions` of a stage in a recipe, already expanded: `{of: containerd, is: 2.1.4}` or
    /// `{of: containerd, locked: <stage>, package: <name>}`.
    func versions(_ nodes: [YAMLNode], of what: String, rules: [CompatibilityRule]) -> [NamedVersion] {
        let known = Set(rules.flatMap { [$0.condition.name, $0.need.name] }).sorted { $0.precedes($1) }
        return nodes.compactMap { node in
            guard let fields = Fields(node, "an item of “versions” of \(what)", faults) else { return nil }
            defer { fields.finish() }
            guard let name = fields.string("of", required: true) else { return nil }
            let source = source(fields)
            guard known.contains(name) else {
                faults.add(
                    "no rule of \(what) asks for the version of “\(name)”\(Suggestion.hint(for: name, in: known))",
                    at: node.location,
                    remedy: known.isEmpty ? "the stage has no rules" : "versions: \(known.joined(separator: ", "))")
                return nil
            }
            return source.map { NamedVersion(name: name, source: $0, location: node.location) }
        }
    }

    private func source(_ fields: Fields) -> VersionSource? {
        let (text, stage, package) = (fields.string("is"), fields.string("locked"), fields.string("package"))
        switch (text, stage, package) {
        case (let text?, nil, nil):
            if UpstreamVersion(text) != nil { return .text(text) }
            faults.add(
                "“\(text)” is no version: it does not begin with a number",
                at: fields.node("is")?.location ?? fields.location, remedy: "for example 1.32.1")
        case (nil, let stage?, let package?): return .locked(stage: stage, package: package)
        default:
            faults.add(
                "\(fields.what) needs either “is”, or “locked” and “package”", at: fields.location,
                remedy: "write {of: <name>, is: <version>} or {of: <name>, locked: <stage>, package: <name>}")
        }
        return nil
    }
}

extension Recipe {
    /// Whether versions of the lock decide if the recipe can be built.
    private var asksForLockedVersions: Bool {
        stages.contains { stage in
            stage.versions.contains { if case .locked = $0.source { true } else { false } }
        }
    }

    /// What `checkCompatibility` asks of a lock, as a text: the same text and the same lock have the same answer. Empty if
    /// it asks nothing.
    package var questionsOfVersions: String {
        guard asksForLockedVersions else { return "" }
        return stages.filter { !$0.versions.isEmpty }
            .map { "\($0.id) \($0.versions) \($0.definition.compatibility)" }.joined(separator: "\n")
    }

    /// Holds every rule of its stages against the versions that the recipe names. A rule for a version that it doesn't
    /// name is not looked at.
    /// - Parameter locked: the version that the lock of a stage has of a package, or nil.
    /// - Throws: `ForgeErrors` with everything that does not fit.
    package func checkCompatibility(locked: (_ stage: String, _ package: String) -> String?) throws(ForgeErrors) {
        var errors: [ForgeError] = []
        for stage in stages where !stage.versions.isEmpty {
            var versions: [String: UpstreamVersion] = [:]
            for named in stage.versions {
                switch named.source {
                case .text(let text): versions[named.name] = UpstreamVersion(text)
                case .locked(let id, let package):
                    guard let text = locked(id, package) else {
                        errors.append(
                            ForgeError(
                                .badInput, "the lock of stage “\(id)” has no package “\(package)”", at: named.location,
                                remedy: "correct “\(named.name)” below “versions” of stage “\(stage.id)”"))
                        continue
                    }
                    versions[named.name] = UpstreamVersion(text)
                }
            }
            for rule in stage.definition.compatibility {
                guard let one = versions[rule.condition.name], let other = versions[rule.need.name],
                    rule.condition.holds(for: one), !rule.need.holds(for: other)
                else { continue }
                errors.append(
                    ForgeError(
                        .badInput,
                        "\(rule.condition.name) \(one) and \(rule.need.name) \(other) don't fit together: \(rule.because)",
                        at: stage.location,
                        remedy: "\(rule.condition) needs \(rule.need): choose another version of one of them"))
            }
        }
        if !errors.isEmpty { throw ForgeErrors(errors) }
    }
}
