"""The engines that ship with the package, one module each; `backend` names them. See [`~sampling.Engine`]."""
