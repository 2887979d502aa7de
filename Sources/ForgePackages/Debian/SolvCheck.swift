import CSolv
import ForgeBase
import Glibc

/// libsolv: verifies that a set of packages fits together, and explains why another does not.
enum SolvCheck {
    enum Outcome {
        /// Numbers of versions.
        case solved([Int32])
        /// One text a problem or rule, the cause first.
        case problems([String])
    }

    /// Why these versions can't be installed together and alone; empty if they can.
    static func problems(of set: [Int32], in index: PackageIndex) throws(ForgeError) -> [String] {
        switch try solve(roots: set, candidates: set, preferred: [], in: index) {
        case .solved(let chosen):
            guard Set(chosen) == Set(set) else { throw ForgeError(.bug, "libsolv installed another set than asked") }
            return []
        case .problems(let texts): return texts
        }
    }

    /// Installs roots out of some candidates, those of `preferred` first.
    static func solve(
        roots: [Int32], candidates: [Int32], preferred: [Int32], in index: PackageIndex
    ) throws(ForgeError) -> Outcome {
        guard let pool = pool_create() else { throw ForgeError(.bug, "libsolv has no memory") }
        defer { pool_free(pool) }
        guard pool_setdisttype(pool, Int32(DISTTYPE_DEB)) >= 0 else {
            throw ForgeError(.unsupportedHost, "this libsolv can't handle Debian packages")
        }
        pool_setarchpolicy(pool, index.architecture)
        let repo = try load(candidates, into: pool, from: index)
        forge_pool_finish(pool)
        let start = forge_repo_start(repo)
        var ids: [Int32: Id] = [:]
        for (offset, version) in candidates.enumerated() { ids[version] = start + Id(offset) }

        var job = Queue()
        queue_init(&job)
        defer { queue_free(&job) }
        for root in roots { if let id = ids[root] { queue_push2(&job, SOLVER_INSTALL | SOLVER_SOLVABLE, id) } }
        for version in preferred {
            if let id = ids[version] { queue_push2(&job, SOLVER_FAVOR | SOLVER_SOLVABLE, id) }
        }
        guard let solver = solver_create(pool) else { throw ForgeError(.bug, "libsolv has no memory") }
        defer { solver_free(solver) }
        solver_set_flag(solver, SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
        guard solver_solve(solver, &job) == 0 else { return .problems(explain(solver)) }
        var result = Queue()
        queue_init(&result)
        defer { queue_free(&result) }
        forge_solver_installed(solver, &result)
        return .solved((0..<Int(result.count)).map { candidates[Int(result.elements[$0] - start)] })
    }

    private static func load(
        _ versions: [Int32], into pool: UnsafeMutablePointer<Pool>, from index: PackageIndex
    ) throws(ForgeError) -> UnsafeMutablePointer<Repo> {
        guard let repo = repo_create(pool, "packages") else { throw ForgeError(.bug, "libsolv has no memory") }
        var text: [UInt8] = []
        for version in versions {
            text += index.stanzaBytes(index.versions[Int(version)])
            text += "\n\n".utf8
        }
        removeQualifiers(of: index.architecture, from: &text)
        let size = text.count
        let failed = text.withUnsafeMutableBytes { buffer -> Bool in
            guard size > 0, let file = fmemopen(buffer.baseAddress, size, "r") else { return size > 0 }
            defer { fclose(file) }
            return repo_add_debpackages(repo, file, 0) != 0
        }
        // Stanzas become solvables in the order of the text; everything else here relies on that.
        guard !failed, size == 0 || Int(forge_repo_end(repo) - forge_repo_start(repo)) == versions.count else {
            throw ForgeError(.bug, "libsolv read another number of packages than forge")
        }
        return repo
    }

    /// Removes `:<own architecture>` behind names: with one architecture it means nothing, but libsolv looks for a package
    /// of another name.
    private static func removeQualifiers(of architecture: String, from text: inout [UInt8]) {
        let qualifier = Array(":\(architecture)".utf8)
        var places: [Int] = []
        text.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            var at = 0
            while let found = memchr(base + at, 0x3a, bytes.count - at) {
                at = UnsafeRawPointer(found) - base
                if bytes.count - at >= qualifier.count, memcmp(base + at, qualifier, qualifier.count) == 0 {
                    places.append(at)
                }
                at += 1
            }
        }
        for place in places.reversed() { text.removeSubrange(place..<(place + qualifier.count)) }
    }

    /// The rules that can't all hold, each as one line, without repetitions.
    private static func explain(_ solver: UnsafeMutablePointer<Solver>) -> [String] {
        var lines: [String] = []
        var rules = Queue()
        queue_init(&rules)
        var infos = Queue()
        queue_init(&infos)
        defer {
            queue_free(&rules)
            queue_free(&infos)
        }
        for problem in 1...max(1, Id(solver_problem_count(solver))) {
            solver_findallproblemrules(solver, problem, &rules)
            for i in 0..<Int(rules.count) {
                solver_allruleinfos(solver, rules.elements[i], &infos)
                for j in stride(from: 0, to: Int(infos.count), by: 4) {
                    let kind = SolverRuleinfo(UInt32(bitPattern: infos.elements[j]))
                    guard kind != SOLVER_RULE_JOB else { continue }
                    guard
                        let text = solver_problemruleinfo2str(
                            solver, kind, infos.elements[j + 1], infos.elements[j + 2], infos.elements[j + 3])
                    else { continue }
                    let line = String(cString: text)
                    if !lines.contains(line) { lines.append(line) }
                }
            }
        }
        return Array(lines.prefix(20))
    }
}
