import ForgeBase
import ForgeEngine
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgeCLI

/// What the program says of builds, with real builds of a small project.
@Suite struct SeeingTests {
    /// The lines of an action in the output of `forge explain`.
    func lines(_ text: String, of action: String) -> [String] {
        let all = text.split(separator: "\n").map(String.init)
        guard let start = all.firstIndex(where: { $0.hasPrefix("tiny/\(action): ") }) else { return [] }
        let rest = all[(start + 1)...].prefix { $0.hasPrefix(" ") }
        return [all[start]] + rest
    }

    @Test func aChangedFileIsFoundAtTheEndOfEveryChain() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        #expect(lines(try project.forge("explain", "tiny"), of: "flat") == ["tiny/flat: in the cache, as in build #1"])
        try project.write("recipes/tiny/files/etc/motd", "changed\n")
        let before = try project.forge("explain", "tiny")
        let base = lines(before, of: "base")
        #expect(base[0] == "tiny/base: will run")
        #expect(base[1] == "    source changed  (recipes/tiny/recipe.yaml:10)")
        #expect(base[2].hasPrefix("      ~ recipes/tiny/files/etc/motd (file "))
        let tarball = lines(before, of: "tarball")
        #expect(tarball[0] == "tiny/tarball: runs if an input changes")
        #expect(tarball[1] == "    tree is not made yet")
        #expect(tarball[2] == "      ← tiny/flat may run, and its output tree may change")
        #expect(tarball[3] == "      ← tiny/base will run, and its output tree may change")
        #expect(tarball[4] == "      ← source changed  (recipes/tiny/recipe.yaml:10)")
        #expect(tarball[5].hasPrefix("          ~ recipes/tiny/files/etc/motd"))
        #expect(lines(before, of: "extra") == ["tiny/extra: in the cache, as in build #1"])

        try project.forge("build", "tiny")
        let after = try project.forge("explain", "tiny", "--last", "tarball")
        #expect(after.hasPrefix("tiny/tarball: ran, "))
        #expect(after.contains("    tree changed\n      ~ etc/motd (file "))
        #expect(
            after.contains("\n      ← tiny/flat ran and its output tree changed\n          layers/00-base changed\n"))
        #expect(after.contains("~ recipes/tiny/files/etc/motd (file "))
    }

    @Test func anOptionIsFoundWithItsLine() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.edit("remove: [/usr/share/doc]", "remove: [/usr/share/man]")
        try project.edit("inputs: {tree: flat.tree}", "options: {level: 5}\n    inputs: {tree: flat.tree}")
        let text = try project.forge("explain", "tiny")
        #expect(
            lines(text, of: "extra").dropFirst() == [
                "    option remove changed  (recipes/tiny/recipe.yaml:14)", "      - /usr/share/doc",
                "      + /usr/share/man",
            ])
        #expect(lines(text, of: "tarball")[0] == "tiny/tarball: will run", "its own option is enough")
        #expect(lines(text, of: "tarball")[1] == "    option level changed: 3 → 5  (recipes/tiny/recipe.yaml:22)")
        let json = try project.json("explain", "tiny", "extra")
        let cause = try #require(json.array?.first?["causes"]?.array?.first)
        #expect(cause["file"]?.string == "recipes/tiny/recipe.yaml" && cause["line"]?.int == 14)
        #expect(cause["kind"]?.string == "option" && cause["name"]?.string == "remove")
        #expect(json.array?.first?["state"]?.string == "will_run")
    }

    @Test func theLineIsThatOfTheItem() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        let other = lines(try project.forge("explain", "tiny", "--set", "word=other"), of: "extra")
        #expect(other[1] == "    option files changed  (recipes/tiny/recipe.yaml:15)")
        try project.edit("remove: [/usr/share/doc]", "remove:\n        - /usr/share/doc\n        - /usr/share/man")
        let text = lines(try project.forge("explain", "tiny"), of: "extra")
        #expect(text[1] == "    option remove changed  (recipes/tiny/recipe.yaml:14)")
        #expect(text[2] == "      + /usr/share/man  (recipes/tiny/recipe.yaml:16)")
    }

    @Test func anInputThatIsAPathIsFound() throws {
        let project = try TinyProject()
        try project.write("recipes/tiny/more/opt/x", "1\n")
        try project.edit("extra.tree]", "extra.tree, {path: more}]")
        try project.forge("build", "tiny")
        try project.write("recipes/tiny/more/opt/x", "22\n")
        let text = lines(try project.forge("explain", "tiny"), of: "flat")
        #expect(text[0] == "tiny/flat: will run")
        #expect(text[1] == "    layers/02-more changed  (recipes/tiny/recipe.yaml:19)")
        #expect(text[2].hasPrefix("      ~ recipes/tiny/more/opt/x (file "))
    }

    @Test func editedAndBackComparesWithWhatWasBuiltLast() throws {
        let project = try TinyProject()
        let motd = "recipes/tiny/files/etc/motd"
        try project.forge("build", "tiny")
        try project.write(motd, "two\n")
        try project.forge("build", "tiny")
        try project.write(motd, "welcome\n")
        let back = try project.json("build", "tiny")
        #expect(back["ran"]?.int == 0 && back["hit"]?.int == 4)
        #expect(try project.json("log", "tiny").array?.count == 3, "the way back is a build to compare with")
        try project.write(motd, "welcome\nback\n")
        let base = lines(try project.forge("explain", "tiny"), of: "base")
        // 8 bytes are “welcome”: what the newest build had. “two” has 4.
        #expect(base[2].contains("of 8 bytes → file") && base[2].contains("of 13 bytes"))
    }

    @Test func twoBuildsAreCompared() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.write("recipes/tiny/files/etc/motd", "two\n")
        try project.forge("build", "tiny")
        try project.edit("[/usr/share/doc]", "[/usr/share/man]")
        try project.forge("build", "tiny")
        let whole = try project.forge("explain", "tiny", "1..3")
        #expect(lines(whole, of: "base").contains { $0.hasPrefix("      ~ recipes/tiny/files/etc/motd") })
        #expect(lines(whole, of: "base")[0] == "tiny/base: ran in build #2")
        #expect(lines(whole, of: "extra")[1] == "    option remove changed  (recipes/tiny/recipe.yaml:14)")
        let second = try project.forge("explain", "tiny", "2..3")
        #expect(lines(second, of: "base") == ["tiny/base: was in the cache, as in build #2"])
        #expect(try project.forge("explain", "tiny", "..3").contains("tiny/extra: ran"))
        #expect(try project.json("explain", "tiny", "1..3", "flat").array?.count == 3, "with what is behind it")
        try project.forge("explain", "tiny", "1..9", expecting: 2)
        try project.forge("explain", "tiny", "flat", "base", expecting: 2)
    }

    @Test func stagesThatComeAndGoAreTold() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.edit("[base.tree, extra.tree]", "[base.tree]")
        try project.forge("build", "tiny")
        let text = try project.forge("explain", "tiny", "1..2")
        #expect(lines(text, of: "extra") == ["tiny/extra: is no longer in the plan"])
        #expect(lines(text, of: "flat")[1] == "    layers/01-extra is gone  (recipes/tiny/recipe.yaml:19)")
        // What comes back as it was had no row of its own once, and was gone from then on.
        try project.edit("[base.tree]", "[base.tree, extra.tree]")
        try project.forge("build", "tiny")
        let back = try project.forge("explain", "tiny", "2..3")
        #expect(lines(back, of: "extra") == ["tiny/extra: was in the cache, as in build #1"])
        try project.write("recipes/tiny/files/etc/motd", "two\n")
        try project.forge("build", "tiny")
        let later = try project.forge("explain", "tiny", "3..4")
        #expect(lines(later, of: "extra").first?.hasPrefix("tiny/extra: was in the cache") == true)
    }

    @Test func parametersAreComparedWithTheirOwnBuilds() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.forge("build", "tiny", "--set", "word=other")
        try project.write("recipes/tiny/files/etc/motd", "two\n")
        let text = try project.forge("explain", "tiny")
        #expect(lines(text, of: "extra") == ["tiny/extra: in the cache, as in build #1"])
    }

    @Test func logListsBuildsWithWhatTheyCost() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.forge("build", "tiny")
        try project.write("recipes/tiny/files/etc/motd", "two\n")
        try project.forge("build", "tiny")
        let builds = try #require(try project.json("log", "tiny").array)
        #expect(builds.map { $0["build"]?.int } == [2, 1], "the build with nothing to do is not recorded")
        #expect(builds[0]["ran"]?.int == 3 && builds[0]["hit"]?.int == 1)
        #expect(builds[0]["actions"]?.array?.count == 3, "the hit has no row")
        #expect(builds[0]["parameters"]?["word"]?.string == "hello")
        #expect((builds[0]["made_bytes"]?.int ?? 0) > 0)
        let action = try #require(builds[1]["actions"]?.array?.last)
        #expect(action["action"]?.string == "tiny/tarball" && (action["output_bytes"]?.int ?? 0) > 0)
        #expect((action["max_memory"]?.int ?? 0) > 1_000_000)
        let starts = builds[1]["actions"]?.array?.compactMap { item -> Double? in
            if case .double(let value)? = item["start"] { value } else { nil }
        }
        #expect(starts?.count == 4 && starts == starts?.sorted() && (starts?.last ?? 0) > 0)
        #expect(try project.forge("log", "tiny", "--last", "1").contains("#2  "))
        #expect(try project.json("log", "tiny", "base")["action"]?.string == "tiny/base")
    }

    @Test func statsAddUp() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny")
        try project.write("recipes/tiny/files/etc/motd", "two\n")
        try project.forge("build", "tiny")
        let json = try project.json("stats", "tiny")
        #expect(json["builds"]?.int == 2 && json["actions"]?.int == 8 && json["hits"]?.int == 1)
        #expect(json["slowest"]?.array?.count == 4)
        let text = try project.forge("stats")
        #expect(text.contains("from the cache   13 %: 1 of 8 actions") && text.contains("slowest actions"))
        #expect(!text.contains("█"), "no bars but on a terminal")
    }

    @Test func aTraceHasEveryActionOnceAndNothingOverlapsInALane() throws {
        let project = try TinyProject()
        try project.forge("build", "tiny", "--trace", "trace.json")
        let bytes = try Files.read(project.path + "/trace.json")
        let trace = try JSON(parsing: bytes, file: "trace")
        let events = try #require(trace["traceEvents"]?.array)
        let actions = events.filter { $0["cat"]?.string == "action" }
        #expect(
            actions.compactMap { $0["name"]?.string }.sorted() == [
                "tiny/base", "tiny/extra", "tiny/flat", "tiny/tarball",
            ])
        var ends: [Int64: Int64] = [:]
        for event in actions.sorted(by: { ($0["ts"]?.int ?? 0) < ($1["ts"]?.int ?? 0) }) {
            let lane = event["tid"]?.int ?? 0
            #expect((event["ts"]?.int ?? -1) >= ends[lane] ?? 0)
            ends[lane] = (event["ts"]?.int ?? 0) + (event["dur"]?.int ?? 0)
        }
        let own = Set(events.filter { $0["cat"]?.string == "forge" }.compactMap { $0["name"]?.string })
        #expect(own == ["plan", "look up", "publish", "record"])
        #expect(events.contains { $0["ph"]?.string == "C" && $0["name"]?.string == "processors busy" })
        #expect(events.count { $0["ph"]?.string == "s" } == 3 && events.count { $0["ph"]?.string == "f" } == 3)
    }

    @Test func thePageHasThePlanAndTheLastBuild() throws {
        let project = try TinyProject()
        let empty = try project.json("graph", "tiny")
        #expect(empty["build"] == .null && empty["actions"]?.array?.count == 4)
        try project.edit("summary: Two layers", "summary: </script><b>Two layers")
        try project.forge("build", "tiny")
        let data = try project.json("graph", "tiny")
        let tarball = try #require(data["actions"]?.array?.last)
        #expect(tarball["state"]?.string == "ran" && tarball["critical"]?.bool == true)
        #expect(tarball["outputs"]?.array?.first?["artifacts"]?.array == [.string("rootfs.tar.zst")])
        let page = try project.forge("graph", "tiny", "--format", "html")
        #expect(page.contains(#"<script type="application/json" id="data">{"recipe":"tiny""#))
        #expect(!page.contains("</script><b>") && !page.contains("{{"))
        for outside in ["src=", "href=", "url(", "@import"] { #expect(!page.contains(outside), "\(outside)") }
    }
}

@Suite struct SparklineTests {
    @Test func barsCompareByLength() {
        #expect(Sparkline.text([0, 1, 2, 4, 8]) == "▁▂▃▅█")
        #expect(Sparkline.text([5, 5]) == "██")
        #expect(Sparkline.text([0, 0.5, 1], from: 0, to: 1) == "▁▅█")
        #expect(Sparkline.text([0, 0]) == "▁▁")
    }
}

@Suite struct TraceTests {
    @Test func actionsTakeTheFirstFreeLane() {
        func action(_ start: Double, _ end: Double) -> TraceRecorder.Action { .init(index: 0, start: start, end: end) }
        #expect(
            TraceFile.lanes([action(0, 3), action(0, 1), action(1, 2), action(2.5, 4), action(3, 5)]) == [
                0, 1, 1, 1, 0,
            ])
        #expect(TraceFile.lanes([]) == [])
    }
}

@Suite struct BuildRangeTests {
    @Test func rangesAreTwoNumbers() {
        #expect(BuildRange("3..12")?.first == 3 && BuildRange("3..12")?.last == 12)
        #expect(BuildRange("..7")?.first == nil && BuildRange("..7")?.last == 7)
        for text in ["7", "a..b", "3..", "base", "1..x"] { #expect(BuildRange(text) == nil, "\(text)") }
    }
}
