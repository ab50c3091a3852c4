// The HL7 validator (org.hl7.fhir.validation, as HAPI FHIR packages it) over resources on standard
// input, with the definitions of some folders. Reads lines "profiles TAB resource", where profiles are
// none or several addresses with a space between; writes lines "index TAB severity TAB message-id TAB
// location TAB text", one for each problem.
// Usage: java -cp 'lib/*' Validate.java FOLDER...
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport.IssueSeverity;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

public class Validate {
  public static void main(String[] arguments) throws Exception {
    FhirContext r4 = FhirContext.forR4();
    PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(r4);
    for (String folder : arguments) {
      try (var files = Files.list(Path.of(folder))) {
        for (Path file : files.filter(one -> one.toString().endsWith(".json")).sorted().toList()) {
          own.addResource(r4.newJsonParser().parseResource(Files.readString(file)));
        }
      }
    }
    UnknownCodeSystemWarningValidationSupport unknown =
        new UnknownCodeSystemWarningValidationSupport(r4);
    unknown.setNonExistentCodeSystemSeverity(IssueSeverity.WARNING);
    FhirInstanceValidator module = new FhirInstanceValidator(new ValidationSupportChain(
        own, new DefaultProfileValidationSupport(r4),
        new CommonCodeSystemsTerminologyService(r4),
        new InMemoryTerminologyServerValidationSupport(r4),
        new SnapshotGeneratingValidationSupport(r4), unknown));
    module.setErrorForUnknownProfiles(false);
    FhirValidator validator = r4.newValidator().registerValidatorModule(module);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    int index = 0;
    for (String line = lines.readLine(); line != null; line = lines.readLine(), index++) {
      String[] parts = line.split("\t", 2);
      ValidationOptions options = new ValidationOptions();
      for (String profile : parts[0].split(" ")) {
        options.addProfileIfNotBlank(profile);
      }
      for (SingleValidationMessage one :
          validator.validateWithResult(parts[1], options).getMessages()) {
        System.out.println(String.join("\t", String.valueOf(index),
            one.getSeverity().getCode(), String.valueOf(one.getMessageId()),
            String.valueOf(one.getLocationString()), one.getMessage().replaceAll("\\s+", " ")));
      }
    }
  }
}
