import ForgeBase
package import ForgeEngine
package import ForgeStore
package import ForgeSystem

/// Runs the `run` script of a stage in the build root. What scripts see is described in `docs/stages.md`.
package struct ScriptStage {
    let request: HelperRequest
    let store: Store
    let checkouts: Checkouts
    /// How uids of trees become uids of the disk.
    private let map: String

    package init(_ request: HelperRequest, _ store: Store) throws {
        self.request = request
        self.store = store
        map = try ScriptStage.ownMap()
        checkouts = try Checkouts(store, map: map)
    }

    /// The name of this process's map of ids: directories laid out under one are of no use under another.
    static func ownMap() throws -> String {
        let fields = String(decoding: try Files.read("/proc/self/uid_map"), as: UTF8.self).split(separator: " ")
        let outside = fields.count > 1 ? fields[1] : "0"
        return outside == "0" ? "root" : "uid\(outside)"
    }

    /// Where things are in the sandbox.
    private enum Place {
        static let inputs = "/in"
        static let outputs = "/out"
        static let stage = "/stage"
        static let work = "/work"
        static let options = "/forge"
        static let toolCache = "/cache"

        /// Where something is mounted in every sandbox.
        static let mounted = [inputs, outputs, stage, work, options, "/dev", "/proc", "/run", "/tmp"]
    }

    /// A directory of the cache with an empty one for each place where something is mounted. It lies below every build
    /// root: to make them anew in each sandbox, and to remove them, takes longer than the mounts.
    private func mountPoints() throws -> String {
        let path = "\(store.directory)/mount-points"
        for place in Place.mounted { try Files.makeDirectories(path + place) }
        return path
    }

    /// Runs the script to its end and takes what it made into the store.
    /// - Returns: what it made, and the bytes of its largest process.
    package func run() throws -> (result: StageResult, memory: Int64) {
        let (sandbox, used) = try prepare()
        defer { withExtendedLifetime(used) {} }
        let report = try sandbox.run(
            "\(Place.stage)/run", environment: ScriptStage.environment(for: request), directory: Place.work)
        guard report.succeeded else {
            throw ForgeError(.stageFailed, "the script of stage “\(request.stage)” \(report.status)")
        }
        return (StageResult(outputs: try request.outputs.map(collect)), report.maxMemory)
    }

    /// Checks everything out and describes the sandbox; also what `forge shell` enters.
    /// - Returns: the sandbox, and what keeps its directories in place as long as it is used.
    package func prepare() throws -> (sandbox: Sandbox, checkouts: [Checkouts.Checkout]) {
        let scratch = request.scratch
        guard let root = request.buildRoot else {
            throw ForgeError(
                .badInput, "stage “\(request.stage)” has a script but no build root",
                remedy: "add `build-root: image` to its stage.yaml")
        }
        for name in ["root", "work/tmp", "out", "in", "forge"] { try Files.makeDirectories("\(scratch)/\(name)") }
        // Not `Files.write`, which waits for the disk.
        try FileDescriptor(creating: "\(scratch)/forge/options.json", mode: 0o644)
            .write(Array(request.options.pretty().utf8))
        let base = try checkouts.open(root, jobs: request.jobs)
        let stage = try checkouts.open(request.stageDigest)
        var used = [base, stage]
        var sandbox = Sandbox(
            root: .overlay(lower: [base.path, try mountPoints()], scratch: "\(scratch)/root"),
            binds: [
                .init(stage.path, at: Place.stage),
                .init("\(scratch)/work", at: Place.work, writable: true),
                .init("\(scratch)/out", at: Place.outputs, writable: true),
                .init("\(scratch)/forge", at: Place.options), .init("\(scratch)/in", at: Place.inputs),
            ])
        sandbox.noNewPrivileges = true
        sandbox.binds += try request.inputs.compactMap { try place($0, &used) }
        if let cache = request.toolCache {
            let folder = ToolCaches.folder(in: store.directory, map: map, name: cache.name, buildRoot: root)
            try Files.makeDirectories(folder)
            sandbox.binds.append(.init(folder, at: Place.toolCache, writable: true))
        }
        FakeClock.apply(request.clockOffset, to: &sandbox)
        return (sandbox, used)
    }

    /// Puts an input at `/in/<name>`, one of a list at `/in/<name>/<label>`: a file as it is, a tree as a bind.
    private func place(_ input: ResolvedInput, _ used: inout [Checkouts.Checkout]) throws -> Sandbox.Bind? {
        let name = input.label.isEmpty ? input.name : "\(input.name)/\(ScriptStage.fileName(input.label))"
        let path = "\(request.scratch)/in/\(name)"
        guard input.kind == .tree else {
            if !input.label.isEmpty { try Files.makeDirectories(Files.parent(of: path)) }
            try store.export(input.digest, to: path, mode: 0o444)
            return nil
        }
        try Files.makeDirectories(path)
        let checkout = try checkouts.open(input.digest, jobs: request.jobs)
        used.append(checkout)
        return .init(checkout.path, at: "\(Place.inputs)/\(name)")
    }

    /// A label as one part of a path.
    private static func fileName(_ label: String) -> String {
        String(label.drop { $0 == "/" }.map { $0 == "/" ? "-" : $0 })
    }

    /// The complete environment of a script.
    package static func environment(for request: HelperRequest) -> [(String, String)] {
        var list: [(String, String)] = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", Place.work),
            ("TMPDIR", "\(Place.work)/tmp"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC"),
            ("SOURCE_DATE_EPOCH", String(request.epoch)), ("FORGE_JOBS", String(request.jobs)),
            ("FORGE_SEED", request.seed.hex), ("FORGE_ARCH", request.architecture),
            ("FORGE_OPTIONS", "\(Place.options)/options.json"),
        ]
        if let cache = request.toolCache {
            list += [("FORGE_TOOL_CACHE", Place.toolCache), ("FORGE_TOOL_CACHE_SIZE", String(cache.limit))]
        }
        for (name, value) in request.options.object ?? [] {
            guard let text = text(value) else { continue }
            let upper = name.uppercased().map { $0 == "-" ? "_" : $0 }
            list.append(("OPT_\(String(upper))", text))
        }
        // The stage's and the recipe's own variables; of what forge sets they may replace PATH alone.
        let own = Set(request.environment.map(\.0))
        list = list.filter { !own.contains($0.0) } + request.environment
        return list + FakeClock.environment(request.clockOffset)
    }

    /// A value as a shell script reads it; nil for what only JSON can say.
    private static func text(_ value: JSON) -> String? {
        switch value {
        case .string(let text): text
        case .int(let number): String(number)
        case .bool(let flag): flag ? "true" : "false"
        case .array(let items):
            items.allSatisfy { $0.string != nil } ? items.compactMap(\.string).joined(separator: "\n") : nil
        default: nil
        }
    }

    /// Takes an output that the script has made into the store.
    private func collect(_ output: PlannedOutput) throws -> ActionResult.Output {
        let path = "\(request.scratch)/out/\(output.name)"
        guard let status = try Files.status(path) else {
            throw ForgeError(
                .stageFailed, "stage “\(request.stage)” made no output “\(output.name)”",
                remedy: "its script must write \(Place.outputs)/\(output.name)")
        }
        switch (output.kind, status.kind) {
        case (.file, .file):
            return .init(name: output.name, kind: .file, digest: try store.put(file: path))
        case (.tree, .directory):
            let tree = try TreeReader.ingest(directory: path, into: store, jobs: request.jobs)
            return .init(name: output.name, kind: .tree, digest: try tree.save(in: store))
        default:
            throw ForgeError(
                .stageFailed, "output “\(output.name)” of stage “\(request.stage)” must be a \(output.kind.rawValue)")
        }
    }
}

/// Lets the programs of a sandbox see a wrong clock, so that a test can show that no clock reaches an artifact.
package enum FakeClock {
    private static let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    private static let place = "/dev/libfaketime.so"

    package static func apply(_ offset: String?, to sandbox: inout Sandbox) {
        // In /dev, which is no part of any tree.
        if offset != nil { sandbox.binds.append(.init(library, at: place)) }
    }

    package static func environment(_ offset: String?) -> [(String, String)] {
        guard let offset else { return [] }
        // The clock is wrong, not the times of files, which are what forge and the scripts set.
        return [("LD_PRELOAD", place), ("FAKETIME", offset), ("FAKETIME_DONT_RESET", "1"), ("NO_FAKE_STAT", "1")]
    }
}
