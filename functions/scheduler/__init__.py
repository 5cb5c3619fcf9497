"""The scheduler function: recurring tasks whose slot has come get their run."""
