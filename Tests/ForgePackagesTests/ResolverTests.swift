import ForgeBase
import Testing

@testable import ForgePackages

/// apt's choice on small indexes, one rule at a time.
@Suite struct ResolverTests {
    /// An index of stanzas by suite, in the order of the sources.
    static func index(_ suites: [(name: String, pin: Int, stanzas: [String])]) throws -> PackageIndex {
        var index = PackageIndex(architecture: "amd64")
        for suite in suites {
            let origin = IndexOrigin(
                archive: "a", suite: suite.name, codename: suite.name, component: "main", pin: suite.pin)
            try index.add(Array(suite.stanzas.joined(separator: "\n").utf8), origin: origin, file: suite.name)
        }
        return index
    }

    static func package(_ name: String, _ version: String = "1.0", _ fields: [String: String] = [:]) -> String {
        TinyArchive.package(name, version, fields)
    }

    func choose(
        _ packages: [String], _ stanzas: [String], pins: [PackagePin] = [], recommends: Bool = false,
        mergedUsr: Bool = false
    ) throws -> [String] {
        try choose(
            packages, in: Self.index([("s", 500, stanzas)]), pins: pins, recommends: recommends, mergedUsr: mergedUsr)
    }

    func choose(
        _ packages: [String], in index: PackageIndex, pins: [PackagePin] = [], recommends: Bool = false,
        mergedUsr: Bool = false
    ) throws -> [String] {
        let selection = Selection(
            base: .essential, packages: packages, recommends: recommends, mergedUsr: mergedUsr, pins: pins)
        return try selection.resolve(in: index).versions.map { id in
            let version = index.versions[Int(id)]
            let text = index.versionText(of: version)
            return index.name(of: version) + (text == "1.0" ? "" : " \(text)")
        }
    }

    func refusal(_ body: () throws -> [String]) -> ForgeError? { failure { _ = try body() } }

    @Test func theFirstAlternativeIsTaken() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "z | b"]), Self.package("b"), Self.package("z"),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "z"])
    }

    @Test func anAlternativeThatIsThereAlreadyIsEnough() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "z | b"]), Self.package("b"), Self.package("z"),
        ]
        #expect(try choose(["a", "b"], stanzas) == ["a", "b"], "also a root that comes later")
    }

    @Test func groupsAreWalkedInTheOrderOfTheFile() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "x | y, c"]), Self.package("c", "1.0", ["Depends": "y"]),
            Self.package("x"), Self.package("y"),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "c", "x", "y"])
        let turned = [
            Self.package("a", "1.0", ["Depends": "c, x | y"]), Self.package("c", "1.0", ["Depends": "y"]),
            Self.package("x"), Self.package("y"),
        ]
        #expect(try choose(["a"], turned) == ["a", "c", "y"])
    }

    @Test func preDependsComeFirst() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "x | y", "Pre-Depends": "y"]), Self.package("x"), Self.package("y"),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "y"])
    }

    @Test func theProviderThatIsMentionedLastIsTakenUnlessAPriorityDecides() throws {
        var stanzas = [
            Self.package("a", "1.0", ["Depends": "v"]), Self.package("p1", "1.0", ["Provides": "v"]),
            Self.package("p2", "1.0", ["Provides": "v"]),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "p2"])
        stanzas[1] = Self.package("p1", "1.0", ["Provides": "v", "Priority": "standard"])
        #expect(try choose(["a"], stanzas) == ["a", "p1"])
        stanzas.append(Self.package("v"))
        #expect(try choose(["a"], stanzas) == ["a", "v"], "the package of the name itself comes first")
    }

    @Test func aVersionedDependencyNeedsAVersionedProvides() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "v (>= 2)"]), Self.package("p1", "1.0", ["Provides": "v (= 2.1)"]),
            Self.package("p2", "1.0", ["Provides": "v"]), Self.package("p3", "1.0", ["Provides": "v (= 1)"]),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "p1"])
    }

    @Test func anyNeedsAPackageThatAllowsIt() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "p:any (>= 1)"]), Self.package("b", "1.0", ["Depends": "q:any"]),
            Self.package("p", "1.0", ["Multi-Arch": "allowed"]), Self.package("q"),
            Self.package("c", "1.0", ["Depends": "q:amd64"]), Self.package("d", "1.0", ["Depends": "q:i386"]),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "p"])
        #expect(
            refusal { try choose(["b"], stanzas) }?.details == ["b 1.0 depends on q:any, which no package satisfies"])
        #expect(try choose(["c"], stanzas) == ["c", "q"])
        #expect(refusal { try choose(["d"], stanzas) } != nil)
    }

    @Test func anAlternativeThatConflictsWithARootIsLeftOut() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "x | y"]), Self.package("b"),
            Self.package("x", "1.0", ["Depends": "w"]), Self.package("w", "1.0", ["Conflicts": "b"]), Self.package("y"),
        ]
        #expect(try choose(["a"], stanzas) == ["a", "w", "x"])
        #expect(try choose(["a", "b"], stanzas) == ["a", "b", "y"])
    }

    @Test func whereAptsOrderGivesNoSetLibsolvChooses() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "x | y, w | v"]), Self.package("x"), Self.package("y"),
            Self.package("w", "1.0", ["Conflicts": "x"]), Self.package("v", "1.0", ["Conflicts": "x"]),
        ]
        let solution = try Selection(base: .essential, packages: ["a"], mergedUsr: false)
            .resolve(in: Self.index([("s", 500, stanzas)]))
        #expect(solution.notes == ["apt's order gives no valid set for these packages; libsolv chose the alternatives"])
    }

    @Test func theHighestVersionOfTheHighestPinIsTaken() throws {
        let index = try Self.index([
            ("stable", 500, [Self.package("a", "1.2")]), ("updates", 500, [Self.package("a", "1.10")]),
            ("backports", 100, [Self.package("a", "2.0")]), ("experimental", 1, [Self.package("b", "3.0")]),
        ])
        #expect(try choose(["a", "b"], in: index) == ["a 1.10", "b 3.0"])
        #expect(
            try choose(["a"], in: index, pins: [.init(packages: ["a"], suite: "backports", priority: 600)]) == ["a 2.0"]
        )
        #expect(
            try choose(["a"], in: index, pins: [.init(packages: ["*"], version: "1.2", priority: 600)]) == ["a 1.2"])
        #expect(try choose(["a=1.2"], in: index) == ["a 1.2"])
        #expect(try choose(["a/backports"], in: index) == ["a 2.0"])
        let never = refusal { try choose(["b"], in: index, pins: [.init(packages: ["b"], priority: -1)]) }
        #expect(never?.details == ["b: a pin below zero forbids every version"])
    }

    @Test func recommendsAreTakenOnlyWhenAskedForAndPossible() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Recommends": "r, missing"]), Self.package("r"),
        ]
        #expect(try choose(["a"], stanzas) == ["a"])
        #expect(try choose(["a"], stanzas, recommends: true) == ["a", "r"])
    }

    @Test func usrIsMergedIsGivenWithTheRoots() throws {
        let stanzas = [
            Self.package("base", "1.0", ["Essential": "yes", "Depends": "usrmerge | usr-is-merged"]),
            Self.package("usrmerge"), Self.package("usr-is-merged"),
        ]
        #expect(try choose([], stanzas, mergedUsr: true) == ["base", "usr-is-merged"])
        #expect(try choose([], stanzas) == ["base", "usrmerge"])
    }

    @Test func theSamePackageInTwoSuitesIsOne() throws {
        let stanza = Self.package("a", "1.0")
        let index = try Self.index([("stable", 500, [stanza]), ("security", 500, [stanza])])
        #expect(index.count == 1)
        #expect(index.versions[0].origins == [0, 1])
    }

    // MARK: Refusals

    @Test func namesThatDoNotExistAreReportedTogether() throws {
        let stanzas = [
            Self.package("openssh-server"), Self.package("p1", "1.0", ["Provides": "v"]),
            Self.package("p2", "1.0", ["Provides": "v"]), Self.package("q", "1.0", ["Suggests": "ghost"]),
        ]
        let error = refusal { try choose(["opensh-server", "v", "ghost", "q=9"], stanzas) }
        #expect(error?.code == .badInput)
        #expect(error?.message == "4 packages can't be found")
        #expect(
            error?.details == [
                "q: no version 9; there is 1.0", "opensh-server: unknown; did you mean “openssh-server”?",
                "v: a virtual package; name one that provides it: p1, p2",
                "ghost: other packages mention it, but no suite has it",
            ])
    }

    @Test func aVirtualPackageWithOneProviderIsThatProvider() throws {
        let stanzas = [Self.package("p1", "1.0", ["Provides": "v"])]
        #expect(try choose(["v"], stanzas) == ["p1"])
    }

    @Test func aConflictIsExplainedByItsChain() throws {
        let stanzas = [
            Self.package("mail", "1.0", ["Depends": "exim"]),
            Self.package("exim", "1.0", ["Conflicts": "mta", "Provides": "mta"]),
            Self.package("postfix", "1.0", ["Conflicts": "mta", "Provides": "mta"]),
        ]
        let error = refusal { try choose(["mail", "postfix"], stanzas) }
        #expect(error?.message == "these packages can't be installed together")
        let text = error?.details.joined(separator: "\n") ?? ""
        #expect(text.contains("package mail-1.0.amd64 requires exim, but none of the providers can be installed"))
        #expect(text.contains("conflicts with mta provided by"))
    }

    @Test func aMissingDependencyIsExplainedByItsChain() throws {
        let stanzas = [
            Self.package("a", "1.0", ["Depends": "b"]), Self.package("b", "1.0", ["Depends": "c (>= 2)"]),
            Self.package("c"),
        ]
        let error = refusal { try choose(["a"], stanzas) }
        #expect(
            error?.details == [
                "package a-1.0.amd64 requires b, but none of the providers can be installed",
                "nothing provides c >= 2 needed by b-1.0.amd64",
            ])
    }
}
