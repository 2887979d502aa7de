import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge log`
struct LogCommand {
    let session: Session

    func run() throws -> ExitCode {
        let recipe = try session.recipe()
        let store = try session.store()
        if let stage = session.arguments.operand(1) { return try log(of: stage, recipe.name, store) }
        let builds = try store.builds(recipe: recipe.name, limit: 20)
        if session.console.json {
            session.console.result(
                JSON.array(
                    builds.map {
                        .object([
                            ("build", .int($0.id)), ("started", .int($0.started)), ("seconds", .double($0.seconds)),
                            ("outcome", .string($0.outcome)),
                        ])
                    }
                ).pretty(depth: 1))
            return .done
        }
        if builds.isEmpty { session.console.note("\(recipe.name) was never built here") }
        for build in builds {
            let actions = try store.actions(ofBuild: build.id)
            let ran = actions.count { $0.outcome == .ran }
            session.console.result(
                "#\(build.id)  \(LogCommand.date(build.started))  \(build.outcome)  \(Format.seconds(build.seconds))"
                    + "  \(ran) ran, \(actions.count { $0.outcome == .hit }) from the cache")
            for action in actions where action.outcome == .ran || action.outcome == .failed {
                session.console.result(
                    "      \(action.outcome.rawValue)  \(action.name)  \(Format.seconds(action.seconds))")
            }
        }
        return .done
    }

    /// The newest log of a stage.
    private func log(of stage: String, _ recipe: String, _ store: Store) throws -> ExitCode {
        let names = ["\(recipe)/\(stage)", stage]
        for build in try store.builds(recipe: recipe, limit: 200) {
            for action in try store.actions(ofBuild: build.id) where names.contains(action.name) {
                guard let key = action.key else { continue }
                let path = HelperRunner.log(of: key, cache: store.directory)
                guard let bytes = try Files.readIfPresent(path) else { continue }
                session.console.note("log of \(action.name), build #\(build.id): \(path)")
                session.console.raw(String(decoding: bytes, as: UTF8.self))
                return .done
            }
        }
        throw ForgeError(
            .badInput, "there is no log of “\(stage)”", remedy: "forge log \(recipe) lists builds and what ran in them")
    }

    /// `2026-03-01 12:00:05` in UTC.
    static func date(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
