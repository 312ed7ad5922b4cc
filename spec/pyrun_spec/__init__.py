# SPDX-License-Identifier: Apache-2.0
"""What the OCI runtime specification says: schemas, loading, validation and the default configuration."""
