import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

/// Versions that a stage's rules say can't be together.
@Suite struct CompatibilityTests {
    @Test(
        arguments: [
            ("1.20.5+really1.20.2-1.1+deb12u1", "1.20.2"), ("1.6.20~ds1-1+deb12u3", "1.6.20"), ("v1.32.1", "1.32.1"),
            ("2:1.19~1", "1.19"), ("2", "2"),
        ])
    func aVersionIsUpstreams(_ text: String, _ expected: String) {
        #expect(UpstreamVersion(text)?.description == expected)
    }

    @Test(arguments: ["", "latest", "v", "~1", "99999999999999999999"])
    func whatBeginsWithNoNumberIsNone(_ text: String) { #expect(UpstreamVersion(text) == nil) }

    @Test func versionsAreComparedByNumbers() throws {
        let order = try ["1.9", "1.10", "1.10.1", "2.0"].map { try #require(UpstreamVersion($0)) }
        #expect(order.shuffled().sorted() == order)
        #expect(UpstreamVersion("2") == UpstreamVersion("2.0.0"))
        let test = try #require(VersionTest("a < 2"))
        #expect(try test.holds(for: #require(UpstreamVersion("1.99"))))
        #expect(try !test.holds(for: #require(UpstreamVersion("2.0"))))
    }

    private func project() throws -> Project {
        let project = try Project()
        try project.write(
            "stages/pair/stage.yaml",
            """
            summary: x
            run: builtin:merge
            outputs: {o: {kind: file}}
            compatibility:
              - {if: agent < 1.23, need: runtime < 2, because: they speak different dialects}

            """)
        return project
    }

    private func recipe(_ versions: String) -> String {
        """
        forge: 1
        name: node
        architecture: amd64
        parameters: {agent: {type: string, default: 1.20.2}}
        stages: {a: {stage: pair, versions: [\(versions)]}}
        artifacts: {o: a.o}

        """
    }

    private func faults(_ versions: String, locked: (String, String) -> String? = { _, _ in nil }) throws -> [String] {
        let recipe = try project().load(recipe(versions))
        do throws(ForgeErrors) {
            try recipe.checkCompatibility(locked: locked)
            return []
        } catch { return error.errors.map(\.message) }
    }

    @Test func whatFitsIsAccepted() throws {
        #expect(try faults("{of: agent, is: \"${agent}\"}, {of: runtime, is: 1.7.24}").isEmpty)
        #expect(try faults("{of: agent, is: \"1.30\"}, {of: runtime, is: 2.1.4}").isEmpty)
        #expect(try faults("{of: runtime, is: 2.1.4}").isEmpty, "of one nothing is known")
    }

    @Test func whatDoesNotFitIsRefusedWithTheReason() throws {
        let expected = ["agent 1.20.2 and runtime 2.1.4 don't fit together: they speak different dialects"]
        #expect(try faults("{of: agent, is: \"${agent}\"}, {of: runtime, is: 2.1.4}") == expected)
        let locked = try faults("{of: agent, is: \"${agent}\"}, {of: runtime, locked: packages, package: rt}") {
            $0 == "packages" && $1 == "rt" ? "2.1.4~ds1-3" : nil
        }
        #expect(locked == expected)
    }

    @Test func aPackageThatTheLockLacksIsAnError() throws {
        #expect(
            try faults("{of: runtime, locked: packages, package: rt}") == [
                "the lock of stage “packages” has no package “rt”"
            ])
    }

    @Test(
        arguments: [
            ("{of: agnt, is: \"1\"}", "did you mean “agent”?"), ("{of: agent}", "needs either “is”"),
            ("{of: agent, is: \"1\", locked: packages, package: rt}", "needs either “is”"),
            ("{of: agent, is: latest}", "does not begin with a number"), ("{is: \"1\"}", "of"),
            ("{of: agent, locked: packages}", "needs either “is”"),
        ])
    func aFaultyVersionIsTold(_ versions: String, _ words: String) throws {
        let faults = try project().faults(recipe(versions))
        #expect(faults.contains { $0.contains(words) }, "\(faults)")
    }

    @Test(arguments: ["agent", "agent < ", "agent ~ 2", "agent < two", "a b < 2"])
    func aFaultyRuleIsTold(_ condition: String) throws {
        let text =
            "summary: x\nrun: builtin:x\noutputs: {o: {kind: file}}\ncompatibility: [{if: \(condition), need: b < 2, because: x}]\n"
        let error = try #require(throws: ForgeErrors.self) {
            try StageDefinition.parse(Array(text.utf8), folder: "/stages/x", file: "stage.yaml")
        }
        #expect(error.errors.first?.message.contains("is no condition on a version") == true, "\(error)")
    }
}
