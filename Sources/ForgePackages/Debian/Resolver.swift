package import ForgeBase

/// Which packages an image gets without being asked.
package enum BaseSet: String, Sendable, CaseIterable {
    /// Nothing: only what is named, and what that depends on. For packages whose files are taken, not installed.
    case none
    /// `Essential: yes`.
    case essential
    /// Essential, Priority required, and apt.
    case required
    /// Required, and Priority important and standard.
    case standard
}

/// Chooses the packages that `apt-get install` would choose on an empty system.
///
/// apt walks depth first, in the order of the index file, and takes the first alternative that it can; a SAT solver
/// chooses otherwise, so forge walks as apt does and lets libsolv verify the result and explain what can't be done.
package struct Resolver: Sendable {
    /// What was chosen.
    package struct Solution: Sendable {
        /// Numbers in `PackageIndex.versions`, sorted by name.
        package var versions: [Int32]
        /// Remarks for people, for example that libsolv had to choose.
        package var notes: [String]
    }

    package let index: PackageIndex
    let policy: Policy
    let recommends: Bool
    /// Name → candidate.
    let candidates: [Int32?]

    init(index: PackageIndex, policy: Policy, recommends: Bool = false) {
        self.index = index
        self.policy = policy
        self.recommends = recommends
        candidates = (0..<Int32(index.names.count)).map { policy.candidate(of: $0, in: index) }
    }

    /// The packages of a base set, in the order of the index.
    func base(_ set: BaseSet) -> [Int32] {
        if set == .none { return [] }
        return candidates.compactMap { $0 }.filter { id in
            let version = index.versions[Int(id)]
            if version.isEssential { return true }
            switch set {
            case .none, .essential: return false
            case .required: return version.priority == .required || index.name(of: version) == "apt"
            case .standard: return version.priority <= .standard || index.name(of: version) == "apt"
            }
        }
    }

    /// The set for some roots, verified.
    /// - Parameter roots: numbers of versions, in the order in which they were asked for.
    /// - Throws: `ForgeError` `.badInput` with the chain of dependencies that can't be kept.
    package func solve(roots: [Int32]) throws(ForgeError) -> Solution {
        var walk = Walk(resolver: self, roots: roots)
        walk.run()
        if walk.dead.isEmpty {
            let problems = try SolvCheck.problems(of: walk.selected.sorted(), in: index)
            if problems.isEmpty { return Solution(versions: sorted(walk.selected), notes: []) }
        }
        // As apt does: leave out what conflicts with a root or can't be installed for another reason, and walk again.
        let unusable = Usability(resolver: self, roots: roots).unusable()
        let lost = roots.filter { unusable[$0] != nil }
        if lost.isEmpty {
            var second = Walk(resolver: self, roots: roots, unusable: Set(unusable.keys))
            second.run()
            if second.dead.isEmpty, try SolvCheck.problems(of: second.selected.sorted(), in: index).isEmpty {
                return Solution(versions: sorted(second.selected), notes: [])
            }
        }
        let outcome = try SolvCheck.solve(
            roots: roots, candidates: candidates.compactMap { $0 }, preferred: walk.selected.sorted(), in: index)
        let texts: [String]
        switch outcome {
        case .solved(let set) where lost.isEmpty:
            let note =
                "apt's order gives no valid set for these packages; libsolv chose the alternatives"
                + (recommends ? ", without recommendations" : "")
            return Solution(versions: sorted(Set(set)), notes: [note])
        // libsolv is laxer than apt in some points, `name:any` for one.
        case .solved: texts = lost.flatMap { chain(from: $0, unusable) }
        case .problems(let problems): texts = problems
        }
        throw ForgeError(
            .badInput, "these packages can't be installed together", details: texts,
            remedy: "remove one of the packages named, or give another alternative for it in the recipe")
    }

    /// Why a version can't be installed: one dependency after the other down to the one that nothing satisfies.
    private func chain(from start: Int32, _ unusable: [Int32: Range<Int32>]) -> [String] {
        var lines: [String] = []
        var seen: Set<Int32> = []
        var next: Int32? = start
        while let id = next, let group = unusable[id], seen.insert(id).inserted {
            let version = index.versions[Int(id)]
            let name = "\(index.name(of: version)) \(index.versionText(of: version))"
            if group.isEmpty {
                lines.append("\(name) conflicts with a package that was asked for")
                break
            }
            next = group.lazy.flatMap { solutions(index.relations[Int($0)]) }.first
            let reason = next == nil ? "which no package satisfies" : "which can't be installed"
            lines.append("\(name) depends on \(index.text(ofGroup: group)), \(reason)")
        }
        return lines
    }

    private func sorted(_ set: Set<Int32>) -> [Int32] {
        set.sorted { a, b in
            index.names.bytes(index.versions[Int(a)].name).lexicographicallyPrecedes(
                index.names.bytes(index.versions[Int(b)].name))
        }
    }

    // MARK: Relationships

    /// The groups of alternatives in a range of relations.
    func groups(_ range: Range<Int32>) -> [Range<Int32>] {
        var groups: [Range<Int32>] = []
        var start = range.lowerBound
        for i in range where !index.relations[Int(i)].hasNext {
            groups.append(start..<(i + 1))
            start = i + 1
        }
        if start < range.upperBound { groups.append(start..<range.upperBound) }
        return groups
    }

    /// Whether a version satisfies one alternative by its own name.
    private func satisfiesByName(_ id: Int32, _ relation: PackageIndex.Relation) -> Bool {
        let version = index.versions[Int(id)]
        guard version.name == relation.name else { return false }
        if relation.comparison == .any { return true }
        return relation.comparison.accepts(
            DebianVersion.compare(index.versionBytes(version), index.versionBytes(relation)))
    }

    /// Whether a `Provides` satisfies one alternative. One without a version satisfies no versioned dependency.
    private func provided(_ provides: PackageIndex.Relation, _ relation: PackageIndex.Relation) -> Bool {
        if relation.comparison == .any { return true }
        guard provides.comparison == .equal else { return false }
        return relation.comparison.accepts(
            DebianVersion.compare(index.versionBytes(provides), index.versionBytes(relation)))
    }

    /// The candidates that satisfy one alternative: the package of that name, and those that provide it.
    func solutions(_ relation: PackageIndex.Relation) -> [Int32] {
        var found: [Int32] = []
        if let own = candidates[Int(relation.name)], satisfiesByName(own, relation) { found.append(own) }
        for (provider, provides) in index.providers(of: relation.name) {
            guard candidates[Int(index.versions[Int(provider)].name)] == provider, !found.contains(provider),
                provided(provides, relation)
            else { continue }
            found.append(provider)
        }
        return found
    }

    /// The candidates that a Conflicts or Breaks of `id` excludes; a package never conflicts with itself.
    func conflicts(of id: Int32) -> [Int32] {
        index.versions[Int(id)].conflicts.flatMap { solutions(index.relations[Int($0)]) }.filter { $0 != id }
    }
}

/// apt's depth-first choice.
struct Walk {
    let resolver: Resolver
    let roots: [Int32]
    private let rootSet: Set<Int32>
    /// Never chosen.
    let unusable: Set<Int32>
    private(set) var selected: Set<Int32> = []
    /// What the chosen packages conflict with; kept only where there are recommendations.
    private var excluded: Set<Int32> = []
    /// Groups that nothing satisfies, with the package that has them.
    private(set) var dead: [(version: Int32, group: Range<Int32>)] = []

    init(resolver: Resolver, roots: [Int32], unusable: Set<Int32> = []) {
        self.resolver = resolver
        self.roots = roots
        self.unusable = unusable
        rootSet = Set(roots)
    }

    mutating func run() {
        for root in roots { select(root) }
        var seen: Set<Int32> = []
        for root in roots where seen.insert(root).inserted { walk(root) }
    }

    /// Walks the dependencies below a version. A stack of our own: chains are as long as the archive allows.
    private mutating func walk(_ start: Int32) {
        var stack: [(version: Int32, groups: [(Range<Int32>, Bool)], next: Int)] = [(start, groups(of: start), 0)]
        while let top = stack.last {
            guard top.next < top.groups.count else {
                stack.removeLast()
                continue
            }
            stack[stack.count - 1].next += 1
            let (group, isRequired) = top.groups[top.next]
            if isSatisfied(group) { continue }
            if let choice = choose(group, isRequired: isRequired) {
                select(choice)
                stack.append((choice, groups(of: choice), 0))
            } else if isRequired {
                dead.append((top.version, group))
            }
        }
    }

    private func groups(of id: Int32) -> [(Range<Int32>, Bool)] {
        let version = resolver.index.versions[Int(id)]
        let required = resolver.groups(version.depends).map { ($0, true) }
        return resolver.recommends ? required + resolver.groups(version.recommends).map { ($0, false) } : required
    }

    private func isSatisfied(_ group: Range<Int32>) -> Bool {
        group.contains { resolver.solutions(resolver.index.relations[Int($0)]).contains { selected.contains($0) } }
    }

    private mutating func select(_ id: Int32) {
        selected.insert(id)
        if resolver.recommends { excluded.formUnion(resolver.conflicts(of: id)) }
    }

    /// A recommendation that conflicts with what is chosen already is no loss.
    private func isWelcome(_ id: Int32) -> Bool {
        !excluded.contains(id) && selected.isDisjoint(with: resolver.conflicts(of: id))
    }

    private func choose(_ group: Range<Int32>, isRequired: Bool) -> Int32? {
        for i in group {
            let relation = resolver.index.relations[Int(i)]
            let usable = resolver.solutions(relation).filter {
                !unusable.contains($0) && (isRequired || isWelcome($0))
            }
            if let best = usable.min(by: { precedes($0, $1, name: relation.name) }) { return best }
        }
        return nil
    }

    /// apt's order of the packages that satisfy one alternative.
    private func precedes(_ a: Int32, _ b: Int32, name: Int32) -> Bool {
        let left = resolver.index.versions[Int(a)]
        let right = resolver.index.versions[Int(b)]
        func differ(_ rule: (Int32, PackageIndex.Version) -> Bool) -> Bool? {
            let (x, y) = (rule(a, left), rule(b, right))
            return x == y ? nil : x
        }
        if let first = differ({ id, _ in rootSet.contains(id) }) { return first }
        if let first = differ({ _, version in resolver.isNamed(version.name, name) }) { return first }
        if let first = differ({ _, version in version.isEssential }) { return first }
        if let first = differ({ _, version in version.isProtected }) { return first }
        if left.priority != right.priority { return left.priority < right.priority }
        return left.name > right.name
    }
}

extension Resolver {
    /// Whether a package has the name that a dependency asks for, `name:any` counting as `name`.
    func isNamed(_ name: Int32, _ wanted: Int32) -> Bool {
        if name == wanted { return true }
        let bytes = index.names.bytes(wanted)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return false }
        return bytes[..<colon] == index.names.bytes(name)
    }
}
