"""DICOM structured reports over DICOMweb: found and fetched, or pushed."""
