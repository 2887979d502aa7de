/// Finds the versions that can't be installed beside the roots: those in conflict with a root, and those with a
/// dependency that only such versions satisfy.
struct Usability {
    let resolver: Resolver
    let roots: [Int32]

    /// What can't be installed, with the group of dependencies that nothing can satisfy; empty for a conflict.
    /// Looks at everything that can be reached from the roots, over all alternatives.
    func unusable() -> [Int32: Range<Int32>] {
        let reached = reachable()
        var bad: [Int32: Range<Int32>] = [:]
        for version in conflicting(reached) { bad[version] = 0..<0 }
        var rules: [(version: Int32, group: Range<Int32>, solutions: [Int32])] = []
        var users: [Int32: [Int]] = [:]
        for version in reached {
            for group in resolver.groups(resolver.index.versions[Int(version)].depends) {
                let solutions = group.flatMap { resolver.solutions(resolver.index.relations[Int($0)]) }
                for solution in solutions { users[solution, default: []].append(rules.count) }
                rules.append((version, group, solutions))
                if solutions.isEmpty, bad[version] == nil { bad[version] = group }
            }
        }
        var queue = bad.keys.sorted()
        while let next = queue.popLast() {
            for rule in users[next] ?? [] where bad[rules[rule].version] == nil {
                guard rules[rule].solutions.allSatisfy({ bad[$0] != nil }) else { continue }
                bad[rules[rule].version] = rules[rule].group
                queue.append(rules[rule].version)
            }
        }
        return bad
    }

    private func reachable() -> [Int32] {
        var order = roots
        var seen = Set(roots)
        var at = 0
        while at < order.count {
            for i in resolver.index.versions[Int(order[at])].depends {
                for solution in resolver.solutions(resolver.index.relations[Int(i)])
                where seen.insert(solution).inserted { order.append(solution) }
            }
            at += 1
        }
        return order
    }

    private func conflicting(_ reached: [Int32]) -> Set<Int32> {
        var protected = Set(roots)
        // What a root needs without a choice is as fixed as the root.
        var queue = roots
        while let next = queue.popLast() {
            for group in resolver.groups(resolver.index.versions[Int(next)].depends) {
                let solutions = Set(group.flatMap { resolver.solutions(resolver.index.relations[Int($0)]) })
                if solutions.count == 1, let only = solutions.first, protected.insert(only).inserted {
                    queue.append(only)
                }
            }
        }
        var bad: Set<Int32> = []
        for version in protected {
            for other in resolver.conflicts(of: version) where !protected.contains(other) { bad.insert(other) }
        }
        for version in reached where !protected.contains(version) {
            if resolver.conflicts(of: version).contains(where: { protected.contains($0) }) { bad.insert(version) }
        }
        return bad
    }
}
