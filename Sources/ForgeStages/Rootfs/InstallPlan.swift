import ForgeBase

/// In which order packages are put into a root file system.
///
/// The first phase is everything essential with what it depends on: its files are there before any script runs, because
/// its scripts need each other's programs. The last phase is the rest, as late as it can be, so that scripts find the
/// programs of packages they don't name (systemd's, above all), as they do when apt unpacks everything before it
/// configures anything. Between them are packages that must be configured before the preinst script of another runs.
struct InstallPlan: Sendable {
    /// Indexes into `packages`, each phase in an order in which a package follows what it depends on.
    let phases: [[Int]]

    init(_ packages: [DebPackage]) throws(ForgeError) {
        let graph = DependencyGraph(packages)
        let essential = graph.closure(of: packages.indices.filter { packages[$0].isEssential })
        // How many phases must follow that of a package; raised until every rule holds. Cycles would raise forever:
        // more phases than packages is one.
        var following = [Int](repeating: 0, count: packages.count)
        var changed = true
        func raise(_ index: Int, to least: Int, for cause: Int) throws(ForgeError) {
            guard !essential.contains(index), following[index] < least else { return }
            guard least <= packages.count else {
                throw ForgeError(
                    .badInput, "\(packages[cause].name) pre-depends on itself through other packages",
                    remedy: "this is a fault of the archive; pin other versions or leave the package out")
            }
            following[index] = least
            changed = true
        }
        while changed {
            changed = false
            for index in packages.indices where !essential.contains(index) {
                for other in graph.depends[index] { try raise(other, to: following[index], for: index) }
                guard packages[index].script("preinst") != nil else { continue }
                for other in graph.preDepends[index] { try raise(other, to: following[index] + 1, for: index) }
            }
        }
        let order = graph.order()
        let middle = (0...(following.max() ?? 0)).reversed().map { number in
            order.filter { !essential.contains($0) && following[$0] == number }
        }
        phases = ([order.filter(essential.contains)] + middle).filter { !$0.isEmpty }
    }
}

/// Which package needs which, within one set.
struct DependencyGraph: Sendable {
    /// By package: those its Pre-Depends name.
    let preDepends: [[Int]]
    /// By package: those its Pre-Depends and Depends name.
    let depends: [[Int]]
    private let names: [String]

    init(_ packages: [DebPackage]) {
        var byName: [String: [Int]] = [:]
        for (index, package) in packages.enumerated() { byName[package.name, default: []].append(index) }
        var providers: [String: [Int]] = [:]
        for (index, package) in packages.enumerated() {
            for virtual in package.provides { providers[virtual.name, default: []].append(index) }
        }
        func targets(_ groups: [[PackageRelation]]) -> [Int] {
            var found: [Int] = []
            for group in groups {
                // The first alternative that is there, a real package before one that provides the name.
                for alternative in group {
                    if let real = byName[alternative.name] {
                        found += real
                    } else if let virtual = providers[alternative.name] {
                        found += virtual
                    } else {
                        continue
                    }
                    break
                }
            }
            return found
        }
        preDepends = packages.map { targets($0.preDepends) }
        let direct = packages.map { targets($0.depends) }
        depends = zip(preDepends, direct).map { $0 + $1 }
        names = packages.map(\.name)
    }

    /// The packages and everything they depend on.
    func closure(of start: [Int]) -> Set<Int> {
        var seen = Set(start)
        var waiting = start
        while let index = waiting.popLast() {
            for other in depends[index] where seen.insert(other).inserted { waiting.append(other) }
        }
        return seen
    }

    /// All packages, dependencies first, names deciding between equals; cycles are cut where they are met. The package
    /// base-passwd comes first: its preinst makes /etc/passwd, which every other script may count on.
    func order() -> [Int] {
        var order: [Int] = []
        var state = [UInt8](repeating: 0, count: depends.count)
        func visit(_ index: Int) {
            guard state[index] == 0 else { return }
            state[index] = 1
            for other in depends[index].sorted(by: { names[$0].precedes(names[$1]) }) { visit(other) }
            order.append(index)
        }
        let byName = names.indices.sorted { names[$0].precedes(names[$1]) }
        for index in byName { visit(index) }
        let first = order.filter { names[$0] == "base-passwd" }
        return first + order.filter { names[$0] != "base-passwd" }
    }
}
