//! Simulator, model checking and tests on real nodes.
