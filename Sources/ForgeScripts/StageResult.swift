package import ForgeBase
package import ForgeStore

/// What a stage made.
package struct StageResult: Sendable {
    package var outputs: [ActionResult.Output]
    /// What the stage says of its outputs, for SBOMs and reports.
    package var provides: [JSON]

    package init(outputs: [ActionResult.Output], provides: [JSON] = []) {
        self.outputs = outputs
        self.provides = provides
    }

    /// A stage whose one output is a tree.
    package static func tree(_ tree: Tree, in store: Store, provides: [JSON] = []) throws -> StageResult {
        let digest = try tree.save(in: store)
        return StageResult(
            outputs: [ActionResult.Output(name: "tree", kind: .tree, digest: digest)], provides: provides)
    }
}
