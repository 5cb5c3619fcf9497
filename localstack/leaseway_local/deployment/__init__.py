"""Deploying template.yaml: packaging, uploading and the CloudFormation stack."""
