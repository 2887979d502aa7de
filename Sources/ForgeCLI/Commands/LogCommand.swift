import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem

/// `forge log`
struct LogCommand {
    let session: Session
    /// Builds that are listed.
    private static let builds = 20
    /// Actions of a build that are listed, the slowest.
    private static let actions = 12

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let store = try session.store()
        if let stage = session.arguments.operand(1) { return try log(of: stage, recipe.name, store) }
        let limit = try session.arguments.number("last", least: 1) ?? LogCommand.builds
        let builds = try store.builds(recipe: recipe.name, limit: limit)
        if session.console.json {
            let list = try builds.map { build in
                LogCommand.json(build, try store.actions(ofBuild: build.id))
            }
            session.console.result(JSON.array(list).pretty(depth: 3))
            return .done
        }
        if builds.isEmpty { session.console.note("\(recipe.name) was never built here") }
        for build in builds { try list(build, store) }
        return .done
    }

    private func list(_ build: BuildRecord, _ store: Store) throws {
        let console = session.console
        let counts = [
            "\(build.ran) ran", "\(build.hits) from the cache", build.failed > 0 ? "\(build.failed) failed" : nil,
            build.skipped > 0 ? "\(build.skipped) skipped" : nil,
            build.savedSeconds >= 0.05 ? "saved \(Format.seconds(build.savedSeconds))" : nil,
        ].compactMap(\.self).joined(separator: ", ")
        let parameters = LogCommand.parameters(build)
        console.result(
            "#\(build.id)  \(Format.date(build.started))  \(build.outcome)  \(Format.seconds(build.seconds))  \(counts)"
                + (parameters.isEmpty ? "" : "  \(parameters)"))
        let worked = try store.actions(ofBuild: build.id).filter { $0.outcome == .ran || $0.outcome == .failed }
        // Failures first, because they are what one looks for.
        let order = worked.sorted {
            ($0.outcome == .failed ? 0 : 1, -$0.seconds, $0.position)
                < ($1.outcome == .failed ? 0 : 1, -$1.seconds, $1.position)
        }
        for action in order.prefix(LogCommand.actions) {
            console.result("      \(action.outcome.rawValue)  \(action.name)  \(Format.seconds(action.seconds))")
        }
        if order.count > LogCommand.actions { console.result("      and \(order.count - LogCommand.actions) more") }
    }

    /// `suite=trixie`; nothing for a recipe without parameters.
    static func parameters(_ build: BuildRecord) -> String {
        guard let fields = (try? JSON(parsing: build.parameters, file: "parameters"))?.object else { return "" }
        return fields.map { "\($0.0)=\($0.1.string ?? $0.1.description)" }.joined(separator: " ")
    }

    /// A build as `log`, `stats` and `graph` give it.
    static func json(_ build: BuildRecord, _ actions: [BuildAction]?) -> JSON {
        var fields: [(String, JSON)] = [
            ("build", .int(build.id)), ("recipe", .string(build.recipe)), ("cell", .string(build.cell)),
            ("parameters", (try? JSON(parsing: build.parameters, file: "parameters")) ?? .null),
            ("started", .int(build.started)), ("seconds", .rounded(build.seconds)),
            ("outcome", .string(build.outcome)), ("ran", .int(Int64(build.ran))), ("hit", .int(Int64(build.hits))),
            ("failed", .int(Int64(build.failed))), ("skipped", .int(Int64(build.skipped))),
            ("cpu_seconds", .rounded(build.cpuSeconds)), ("made_bytes", .int(build.madeBytes)),
            ("saved_seconds", .rounded(build.savedSeconds)), ("saved_bytes", .int(build.savedBytes)),
        ]
        if let actions {
            fields.append(("actions", .array(actions.filter { $0.outcome != .gone }.map(json))))
        }
        return .object(fields)
    }

    static func json(_ action: BuildAction) -> JSON {
        .object([
            ("action", .string(action.name)), ("outcome", .string(action.outcome.rawValue)),
            ("key", action.key.map { .string($0.hex) } ?? .null), ("start", .rounded(action.start)),
            ("seconds", .rounded(action.seconds)), ("cpu_seconds", .rounded(action.cpuSeconds)),
            ("max_memory", .int(action.maxMemory)), ("output_bytes", .int(action.outputBytes)),
        ])
    }

    /// The newest log of a stage.
    private func log(of stage: String, _ recipe: String, _ store: Store) throws -> ExitCode {
        for name in ["\(recipe)/\(stage)", stage] {
            let rows = try store.actions(named: name, recipe: recipe, limit: 200)
            // Of what was skipped, or never ran to its end, there may be an older log.
            for row in rows where row.action.outcome != .skipped && row.action.outcome != .gone {
                guard let key = row.action.key else { continue }
                let path = HelperRunner.log(of: key, cache: store.directory)
                let bytes = try Files.readIfPresent(path)
                if session.console.json {
                    session.console.result(
                        JSON.object([
                            ("action", .string(name)), ("build", .int(row.build)),
                            ("file", bytes == nil ? .null : .string(path)),
                            ("text", .string(String(decoding: bytes ?? [], as: UTF8.self))),
                        ]).description)
                } else if let bytes {
                    session.console.note("log of \(name), build #\(row.build): \(path)")
                    session.console.raw(String(decoding: bytes, as: UTF8.self))
                } else {
                    session.console.note(
                        "log of \(name), build #\(row.build): there is none; it printed nothing, or so long ago that the "
                            + "log was collected")
                }
                return .done
            }
        }
        throw ForgeError(
            .badInput, "there is no log of “\(stage)”", remedy: "forge log \(recipe) lists builds and what ran in them")
    }
}

extension JSON {
    /// A number with three decimals: milliseconds of seconds.
    static func rounded(_ value: Double) -> JSON { .double((value * 1000).rounded() / 1000) }
}
