import ForgeBase
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc

/// `forge stats`
struct StatsCommand {
    let session: Session
    /// Builds in a trend, and actions in the list of slow ones.
    private static let trend = 24
    private static let slowest = 10

    func run() throws -> ExitCode {
        let store = try session.store()
        var name: String?
        if session.arguments.operand(0) != nil { name = try session.recipe().name }
        let builds = Array(try store.builds(recipe: name, limit: 10_000).reversed())
        let statistics = Statistics(builds: builds, actions: try store.ran(recipe: name))
        if session.console.json {
            session.console.result(statistics.json.pretty(depth: 2))
        } else if builds.isEmpty {
            session.console.note("\(name ?? "nothing") was never built here")
        } else {
            show(statistics, name)
        }
        return .done
    }

    private func show(_ statistics: Statistics, _ name: String?) {
        let console = session.console
        let all = statistics.builds
        let outcomes = ["done", "failed", "interrupted"].compactMap { outcome in
            let count = all.count { $0.outcome == outcome }
            return count == 0 ? nil : "\(count) \(outcome)"
        }
        console.result(
            "\(name ?? "all recipes"): \(Format.count(all.count, "build")) since \(Format.date(all[0].started)): "
                + outcomes.joined(separator: ", "))
        let rate = Format.percent(statistics.hitRate)
        console.result("  from the cache   \(rate): \(statistics.hits) of \(Format.count(statistics.wanted, "action"))")
        console.result(
            "  time             \(Format.seconds(statistics.ranSeconds)) of actions ran, "
                + "\(Format.seconds(statistics.savedSeconds)) saved")
        console.result(
            "  bytes            \(Format.bytes(statistics.madeBytes)) made, \(Format.bytes(statistics.savedBytes)) saved"
        )
        trend(statistics)
        guard !statistics.slowest.isEmpty else { return }
        console.result("\n  slowest actions")
        let slow = statistics.slowest.prefix(StatsCommand.slowest)
        let width = slow.map(\.name.count).max() ?? 0
        for action in slow {
            var line = "    \(Format.padded(Format.seconds(action.seconds), 12))  " + Format.filled(action.name, width)
            line += "  \(Format.count(action.runs, "run")), processor \(Format.seconds(action.cpuSeconds))"
            line += ", \(Format.bytes(action.maxMemory)) of memory, makes \(Format.bytes(action.outputBytes))"
            if let spark = spark(action.history) { line += "  \(spark)" }
            console.result(line)
        }
    }

    private func trend(_ statistics: Statistics) {
        let last = statistics.builds.suffix(StatsCommand.trend)
        let seconds = last.map(\.seconds)
        let rates = last.map(Statistics.hitRate)
        let newest = "last \(Format.seconds(seconds.last ?? 0))"
        if let line = spark(seconds) {
            session.console.result(
                "  trend            \(line)  \(Format.seconds(seconds.min() ?? 0)) to "
                    + "\(Format.seconds(seconds.max() ?? 0)), \(newest)")
            session.console.result("                   \(spark(rates, from: 0, to: 1) ?? "")  from the cache")
        } else {
            let few = seconds.suffix(8).map(Format.seconds).joined(separator: ", ")
            session.console.result("  last builds      \(few)")
            session.console.result(
                "  from the cache   \(rates.suffix(8).map(Format.percent).joined(separator: ", "))")
        }
    }

    /// A line of bars on a terminal; nil elsewhere, where numbers say more.
    private func spark(_ values: [Double], from least: Double? = nil, to most: Double? = nil) -> String? {
        guard values.count > 1, Terminal(fd: STDOUT_FILENO).isInteractive, Host.environment("CI") == nil else {
            return nil
        }
        return Sparkline.text(values, from: least, to: most)
    }
}

/// Numbers as a line of bars.
enum Sparkline {
    private static let bars = Array("▁▂▃▄▅▆▇█")

    /// - Parameters:
    ///   - least: the value of the lowest bar; default 0, so that bars compare by length.
    ///   - most: the value of the highest bar; default the largest value.
    static func text(_ values: [Double], from least: Double? = nil, to most: Double? = nil) -> String {
        let low = least ?? 0
        let high = max(most ?? values.max() ?? 1, low + .ulpOfOne)
        return String(
            values.map { value in
                let share = (min(max(value, low), high) - low) / (high - low)
                return bars[min(bars.count - 1, Int(share * Double(bars.count)))]
            })
    }
}

/// What many builds say together.
struct Statistics {
    /// Oldest first.
    var builds: [BuildRecord]
    /// By name, the slowest first.
    var slowest: [Slow] = []
    /// Wall time of all actions that ran.
    var ranSeconds = 0.0

    struct Slow {
        var name: String
        var runs: Int
        /// Median wall time of its runs.
        var seconds: Double
        /// Of the newest run.
        var cpuSeconds: Double
        var maxMemory: Int64
        var outputBytes: Int64
        /// Wall time of its last runs, oldest first.
        var history: [Double]
    }

    init(builds: [BuildRecord], actions: [RecordedAction]) {
        self.builds = builds
        var byName: [String: [BuildAction]] = [:]
        for row in actions {
            byName[row.action.name, default: []].append(row.action)
            ranSeconds += row.action.seconds
        }
        slowest = byName.map { name, runs in
            let newest = runs[runs.count - 1]
            let seconds = runs.map(\.seconds).sorted()
            return Slow(
                name: name, runs: runs.count, seconds: seconds[seconds.count / 2], cpuSeconds: newest.cpuSeconds,
                maxMemory: newest.maxMemory, outputBytes: newest.outputBytes,
                history: runs.suffix(12).map(\.seconds))
        }.sorted { $0.seconds != $1.seconds ? $0.seconds > $1.seconds : $0.name.precedes($1.name) }
    }

    var hits: Int { builds.reduce(0) { $0 + $1.hits } }
    /// Actions that builds needed.
    var wanted: Int { builds.reduce(0) { $0 + $1.hits + $1.ran + $1.failed + $1.skipped } }
    var hitRate: Double { wanted == 0 ? 0 : Double(hits) / Double(wanted) }
    var savedSeconds: Double { builds.reduce(0) { $0 + $1.savedSeconds } }
    var savedBytes: Int64 { builds.reduce(0) { $0 + $1.savedBytes } }
    var madeBytes: Int64 { builds.reduce(0) { $0 + $1.madeBytes } }

    static func hitRate(_ build: BuildRecord) -> Double {
        let all = build.hits + build.ran + build.failed + build.skipped
        return all == 0 ? 0 : Double(build.hits) / Double(all)
    }

    var json: JSON {
        .object([
            ("builds", .int(Int64(builds.count))), ("hits", .int(Int64(hits))), ("actions", .int(Int64(wanted))),
            ("hit_rate", .rounded(hitRate)), ("ran_seconds", .rounded(ranSeconds)),
            ("saved_seconds", .rounded(savedSeconds)), ("made_bytes", .int(madeBytes)),
            ("saved_bytes", .int(savedBytes)),
            (
                "slowest",
                .array(
                    slowest.map {
                        .object([
                            ("action", .string($0.name)), ("runs", .int(Int64($0.runs))),
                            ("median_seconds", .rounded($0.seconds)), ("cpu_seconds", .rounded($0.cpuSeconds)),
                            ("max_memory", .int($0.maxMemory)), ("output_bytes", .int($0.outputBytes)),
                            ("seconds", .array($0.history.map(JSON.rounded))),
                        ])
                    })
            ),
            ("trend", .array(builds.map { LogCommand.json($0, nil) })),
        ])
    }
}
