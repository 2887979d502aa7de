import ForgeBase
import ForgeRecipe
import ForgeSystem
import Testing

/// Values of an enum that mean the same to a stage.
@Suite struct SameTests {
    /// A stage with one option.
    private func stage(_ option: String) throws(ForgeErrors) -> StageDefinition {
        try StageDefinition.parse(
            Array("summary: x\nrun: builtin:x\noptions: {level: \(option)}\noutputs: {o: {kind: file}}\n".utf8),
            folder: "/stages/x", file: "stage.yaml")
    }

    private func faults(_ option: String) throws -> [String] {
        do throws(ForgeErrors) {
            _ = try stage(option)
            return []
        } catch { return error.errors.map(\.message) }
    }

    private func options(_ option: String, _ given: String) throws -> JSON {
        let project = try Project()
        try project.write(
            "stages/x/stage.yaml",
            "summary: x\nrun: builtin:rootfs\noptions: {level: \(option)}\noutputs: {o: {kind: file}}\n")
        let recipe = try project.load(
            """
            forge: 1
            name: node
            architecture: amd64
            stages: {a: {stage: x, options: {\(given)}}}
            artifacts: {o: a.o}

            """)
        return try #require(recipe.stages.first).options
    }

    @Test func aValueIsTakenAsTheOneThatMeansTheSame() throws {
        let option = "{type: enum, values: [v2, v3, v4], same: {v4: v3}, default: v4}"
        let v3 = JSON.object([("level", .string("v3"))])
        #expect(try options(option, "level: v4") == v3)
        #expect(try options(option, "level: v3") == v3)
        #expect(try options(option, "") == v3, "the default too")
        #expect(try options(option, "level: v2") == .object([("level", .string("v2"))]))
    }

    @Test func itHoldsForFieldsOfObjects() throws {
        let option = "{type: list, of: {type: object, fields: {l: {type: enum, values: [a, b], same: {b: a}}}}}"
        #expect(
            try options(option, "level: [{l: b}]")
                == .object([("level", .array([.object([("l", .string("a"))])]))]))
    }

    @Test func everyFaultIsTold() throws {
        let option = "option “level” of stage “x”"
        #expect(try faults("{type: string, same: {b: a}}") == ["“same” of \(option) is for an enum, not for string"])
        #expect(
            try faults("{type: enum, values: [aa, bb], same: {b: aa, bb: c}}") == [
                "“b” in “same” of \(option) is none of its values; did you mean “bb”?",
                "“bb” in “same” of \(option) must be one of aa, bb, not “c”",
            ])
        #expect(
            try faults("{type: enum, values: [a, b, c], same: {c: b, b: a}}") == [
                "“c” in “same” of \(option) is taken as “b”, which is taken as another itself"
            ])
    }
}
